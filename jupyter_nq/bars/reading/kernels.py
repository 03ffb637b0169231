"""Kernels that read rows of a text table from its bytes: stamps, prices and volumes, strictly and exactly.

A kernel takes whole lines and stops at the first row that it does not understand; nothing is guessed and
nothing is wrong with such a row yet. What it understands has the same value, bit for bit, as in the general
path: a price of at most 2**53 in digits and 10**22 in decimals is one correctly rounded division.

Most cells are understood by `words`, eight bytes at a time, without a branch for a byte. A cell that they leave
is read by `characters`, byte by byte. A date that stands in the row before is not read again. The bytes are int8,
so that no arithmetic on them outgrows a byte, and the last one is a line break: runs of digits end at it, so
that only the beginning of a row is compared with the end of the bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jupyter_nq.bars.compiled import inlined, kernel

SKIPPED, STAMP, DATE, TIME, OPEN, HIGH, LOW, CLOSE, VOLUME = range(9)
"""What a column holds; `STAMP` is date and time in one column, `DATE` and `TIME` are in two."""

ISO, SECONDS, FRACTION, OFFSET = 1, 2, 4, 8
SLASH, DOT, DASH = 16, 32, 48
SPACE, LETTER_T = 64, 128
CLOSE_TIME, HALF, SHORT_YEAR, EPOCH = 256, 512, 1024, 2048
"""Bits of a layout's code, see `layouts`: separator in two bits, what joins date and time in two; `CLOSE_TIME` is a
time without colons. With `EPOCH`, the bits of `SECONDS` and `FRACTION` count the unit: s, ms, us, ns."""
CODES = 4096

SEEN, UNPADDED = 1, 2
"""What is known of a layout: that a row has it, that a row of it has a number of one digit."""

TIME_BITS, SECOND_BITS, FIRST_BITS, YEAR_BITS = 17, 7, 7, 14
SECOND_AT = TIME_BITS
FIRST_AT = SECOND_AT + SECOND_BITS
YEAR_AT = FIRST_AT + FIRST_BITS
CODE_AT = YEAR_AT + YEAR_BITS
"""Where the numbers of a stamp lie in one int64: seconds of the day lowest, then second and first number of the date
(of a date that begins with the year, the month and the day), the year, and the layout's code."""

_ZERO_VOLUME, _FLAT, _OHLC_ORDER, _NOT_POSITIVE = 1, 2, 4, 8  # as in `rules`; this module must compile alone

_DIGITS = 18  # more could outgrow 64 bits
_EXACT = 1 << 53
_LONGEST = 47  # characters of the longest stamp

_ONE, _EIGHT, _BYTE, _FIVE_BYTES = np.uint64(1), np.uint64(8), np.uint64(255), np.uint64(0xFFFFFFFFFF)
_ONES, _HIGHS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_ZEROS = np.uint64(0x3030303030303030)  # "00000000"
_NO_DIGIT = np.uint64(0x7676767676767676)  # what sets the high bit of a byte above 9
_CLOCK = np.uint64(0x30303A30303A3030)  # "00:00:00"
_NO_CLOCK = np.uint64(0x76767F76767F7676)  # the same for a byte above 9, and for one above 0 in place of a colon
_TENS, _PAIRS = np.uint64(10), np.uint64(0x00FF00FF00FF00FF)
_HUNDREDS, _FOURS = np.uint64(100), np.uint64(0x0000FFFF0000FFFF)
_THOUSANDS, _ALL = np.uint64(10_000), np.uint64(0x00000000FFFFFFFF)


@kernel
def read_rows(
    data: Any,
    words: Any,
    roles: Any,
    delimiter: int,
    decimal: int,
    powers: Any,
    row: int,
    stamps: Any,
    nanos: Any,
    offsets: Any,
    opens: Any,
    highs: Any,
    lows: Any,
    closes: Any,
    volumes: Any,
    flags: Any,
    seen: Any,
) -> tuple[int, int, int]:
    """Read rows from the beginning of some bytes; return (row, byte at which the next row begins, all flags).

    Parameters
    ----------
    data
        int8 (bytes,): whole lines, the last byte a line break.
    words
        uint64 (bytes,): the eight bytes from each byte on, little-endian; 24 bytes behind the last may be read.
    roles
        int64 (columns,): what each column of the table holds.
    delimiter, decimal
        Codes of the two characters.
    powers
        float64 (23,): the powers of ten.
    row
        Where to begin to write the columns that follow; they must have room for every line.
    stamps
        int64 (rows,): the numbers of the stamps in bits, see `CODE_AT`.
    nanos, offsets
        int32 (rows,), zeros: fraction of the second, seconds east of UTC; only written where a stamp has them.
    opens, highs, lows, closes, volumes, flags
        float64, int64 and uint32 (rows,); of length 0 when only stamps are read.
    seen
        uint8 (CODES,): by layout code what is known of it; added to.
    """
    last = len(roles) - 1
    numbers = len(volumes) > 0
    position = 0
    every = 0
    # The date of the row before: its bytes with what joins it to a time, how many these are, and what they mean.
    known_length = 0
    known_low = known_high = known_mask = np.uint64(0)
    known_code = known_date = 0
    known_thin = False
    while position < len(data):
        at = position
        if data[at] == 10:
            position += 1
            continue
        if data[at] == 13 and data[at + 1] == 10:
            position += 2
            continue
        code = width = date = time = nano = offset = volume = 0
        open_ = high = low = close = 0.0
        narrow = False
        for column in range(len(roles)):
            role = roles[column]
            start = at
            if role >= OPEN and role <= CLOSE:
                end, value, decimals = _number(words[at], words[at + 8], decimal)
                if end > 0:
                    at += end
                    price = value / powers[decimals]
                else:
                    at, price = _price(data, _spaces(data, at, delimiter), decimal, powers)
                if role == OPEN:
                    open_ = price
                elif role == HIGH:
                    high = price
                elif role == LOW:
                    low = price
                else:
                    close = price
            elif role == VOLUME:
                end, part, _ = _number(words[at], words[at + 8], -1)
                if end > 0:
                    at += end
                else:
                    at, part = _whole(data, _spaces(data, at, delimiter))
                volume += part
            elif role == SKIPPED:
                at = _skip(data, _spaces(data, at, delimiter), delimiter)
            else:
                timed = role == TIME
                if timed:
                    code |= SPACE
                    at = _spaces(data, at, delimiter)
                elif (
                    known_length > 0
                    and words[at] == known_low
                    and (words[at + 8] & known_mask) == known_high
                    and (role == STAMP or data[at + known_length] == delimiter)  # 2024/1/1 begins 2024/1/10, too
                ):
                    at += known_length
                    code |= known_code
                    date, thin = known_date, known_thin
                    narrow = narrow or thin
                    timed = role == STAMP
                else:
                    at = _spaces(data, at, delimiter)
                    begin = at
                    at, part, first, second, year, thin = _date(data, at)
                    if at < 0 and role == STAMP:
                        at, part, first, second, year, time, nano = _since_1970(data, begin)
                    if at >= 0 and role == STAMP and part & EPOCH == 0:
                        at, join = _join(data, at, delimiter)
                        part |= join
                        timed = join > 0
                    date = (year << YEAR_AT) | (first << FIRST_AT) | (second << SECOND_AT)
                    code |= part
                    narrow = narrow or thin
                    known_length = 0
                    if 8 <= at - begin < 16 and (timed or role == DATE):
                        known_length = at - begin
                        known_mask = (_ONE << np.uint64(8 * (known_length - 8))) - _ONE
                        known_low, known_high = words[begin], words[begin + 8] & known_mask
                        known_code, known_date, known_thin = part, date, thin
                if timed and at >= 0:
                    length, part, time, thin = _clock(words[at])
                    end = at + length
                    if length > 0 and (data[end] == delimiter or data[end] == 10 or data[end] == 13):
                        at = end
                    else:
                        at, part, time, nano, offset, thin = _time(data, at, delimiter)
                    code |= part
                    narrow = narrow or thin
                width += at - start
            if at < 0 or width > _LONGEST:
                return row, position, every
            if column < last:
                if data[at] != delimiter:
                    return row, position, every
                at += 1
        if data[at] == 13:
            at += 1
        if data[at] != 10:
            return row, position, every
        stamps[row] = (code << CODE_AT) | date | time
        if nano != 0:
            nanos[row] = nano
        if offset != 0:
            offsets[row] = offset
        seen[code] |= SEEN | (UNPADDED if narrow else 0)
        if numbers:
            opens[row], highs[row], lows[row], closes[row], volumes[row] = open_, high, low, close, volume
            bits = flags_of(open_, high, low, close, volume)
            flags[row] = bits
            every |= bits
        position = at + 1
        row += 1
    return row, position, every


@inlined
def flags_of(open_: float, high: float, low: float, close: float, volume: int) -> int:
    """Return the flags of a bar that need nothing but the bar, as if no price of it may be zero or below."""
    bits = _ZERO_VOLUME if volume == 0 else 0
    if (high == open_) & (low == open_) & (close == open_):
        bits |= _FLAT
    if (high < open_) | (high < close) | (low > open_) | (low > close):
        bits |= _OHLC_ORDER
    if (open_ <= 0.0) | (high <= 0.0) | (low <= 0.0) | (close <= 0.0):
        bits |= _NOT_POSITIVE
    return bits


# -- words: eight bytes at a time -------------------------------------------------------------------------------------
@inlined
def _leading(marks: Any) -> Any:
    """Return how many bytes lie below the lowest one whose high bit is set; some is."""
    return np.int64((((marks - _ONE) & ~marks & _ONES) * _ONES) >> np.uint64(56)) - 1


@inlined
def _value(digits: Any, count: int) -> Any:
    """Return the number that the lowest `count` bytes are the digits of, 1 to 8."""
    value = digits << np.uint64(64 - 8 * count)
    value = (value * _TENS + (value >> _EIGHT)) & _PAIRS
    value = (value * _HUNDREDS + (value >> np.uint64(16))) & _FOURS
    return np.int64((value * _THOUSANDS + (value >> np.uint64(32))) & _ALL)


@inlined
def _number(word: Any, follows: Any, decimal: int) -> tuple[Any, Any, Any]:
    """Return (characters, digits as a number, decimals) of a number of up to eight; 0 characters for anything else.

    `follows` are the eight bytes behind.
    """
    digits = word ^ _ZEROS
    marks = ((digits + _NO_DIGIT) | digits) & _HIGHS
    whole = _leading(marks)
    if marks == 0 or whole == 0:
        return 0, 0, 0
    if np.int64((word >> np.uint64(8 * whole)) & _BYTE) != decimal:
        return whole, _value(digits, whole), 0
    rest = marks & (marks - _ONE)
    end = _leading(rest) if rest != 0 else 8
    decimals = end - whole - 1
    if decimals == 0 or (rest == 0 and 48 <= follows & _BYTE <= 57):
        return 0, 0, 0
    below = (_ONE << np.uint64(8 * whole)) - _ONE
    return end, _value((digits & below) | ((digits >> _EIGHT) & ~below), end - 1), decimals


@inlined
def _clock(word: Any) -> tuple[int, int, Any, Any]:
    """Return (characters, code, seconds of the day, whether the hour has one digit) of `HH:MM` or `HH:MM:SS`.

    0 characters for anything else.
    """
    narrow = ((word >> _EIGHT) & _BYTE) == 58
    if narrow:
        word = (word << _EIGHT) | np.uint64(48)
    digits = word ^ _CLOCK
    marks = ((digits + _NO_CLOCK) | digits) & _HIGHS
    hour = np.int64(digits & _BYTE) * 10 + np.int64((digits >> _EIGHT) & _BYTE)
    minute = np.int64((digits >> np.uint64(24)) & _BYTE) * 10 + np.int64((digits >> np.uint64(32)) & _BYTE)
    second = np.int64((digits >> np.uint64(48)) & _BYTE) * 10 + np.int64(digits >> np.uint64(56))
    if marks & _FIVE_BYTES != 0 or hour > 23 or minute > 59:
        return 0, 0, 0, False
    if marks != 0:
        return 4 if narrow else 5, 0, hour * 3600 + minute * 60, narrow
    if second > 59:
        return 0, 0, 0, False
    return 7 if narrow else 8, SECONDS, hour * 3600 + minute * 60 + second, narrow


# -- characters: byte by byte -----------------------------------------------------------------------------------------
@inlined
def _spaces(data: Any, at: int, delimiter: int) -> int:
    """Return the first byte that is no space, from a byte on; where spaces are delimiters, that byte."""
    if delimiter != 32:
        while data[at] == 32:
            at += 1
    return at


@kernel
def _price(data: Any, at: int, decimal: int, powers: Any) -> tuple[int, float]:
    """Return (byte behind the number, its value); the byte is -1 when the number is not understood."""
    negative = data[at] == 45
    if negative:
        at += 1
    start = at
    value = 0
    while 48 <= data[at] <= 57:
        value = value * 10 + int(data[at]) - 48
        at += 1
    whole = at - start
    decimals = 0
    if data[at] == decimal:
        at += 1
        start = at
        while 48 <= data[at] <= 57:
            value = value * 10 + int(data[at]) - 48
            at += 1
        decimals = at - start
        if decimals == 0:
            return -1, 0.0
    if whole == 0 or whole + decimals > _DIGITS or value > _EXACT:
        return -1, 0.0
    price = value / powers[decimals]
    return at, -price if negative else price


@kernel
def _whole(data: Any, at: int) -> tuple[int, int]:
    """Return (byte behind the number, its value); the byte is -1 when it is no number or may not fit."""
    start = at
    value = 0
    while 48 <= data[at] <= 57:
        value = value * 10 + int(data[at]) - 48
        at += 1
    if at == start or at - start > _DIGITS:
        return -1, 0
    return at, value


@kernel
def _skip(data: Any, at: int, delimiter: int) -> int:
    """Return the byte behind a cell that is not read, -1 when it has a quote."""
    while data[at] != delimiter and data[at] != 10 and data[at] != 13:
        if data[at] == 34:
            return -1
        at += 1
    return at


@kernel
def _run(data: Any, at: int) -> int:
    """Return the number of digits from a byte on, 20 for more."""
    end = at
    while 48 <= data[end] <= 57 and end < at + 20:
        end += 1
    return end - at


@kernel
def _digits(data: Any, at: int, count: int) -> int:
    """Return the value of some digits."""
    value = 0
    for i in range(at, at + count):
        value = value * 10 + int(data[i]) - 48
    return value


@kernel
def _date(data: Any, at: int) -> tuple[int, int, int, int, int, bool]:
    """Return (byte behind, code, first, second, year, whether a number has one digit); the byte is -1 for no date."""
    ahead = _run(data, at)
    mark = data[at + ahead]
    if ahead == 8:
        year, second, first = _digits(data, at, 4), _digits(data, at + 4, 2), _digits(data, at + 6, 2)
        return at + 8, ISO, first, second, year, False
    code = SLASH if mark == 47 else DOT if mark == 46 else DASH if mark == 45 else 0
    between = at + ahead + 1
    middle = _run(data, between) if code else 0
    if middle < 1 or middle > 2 or data[between + middle] != mark:
        return -1, 0, 0, 0, 0, False
    behind = between + middle + 1
    end = _run(data, behind)
    one, two, three = _digits(data, at, ahead), _digits(data, between, middle), _digits(data, behind, end)
    if ahead == 4 and 1 <= end <= 2:
        return behind + end, code | ISO, three, two, one, middle == 1 or end == 1
    if ahead < 1 or ahead > 2 or (end != 4 and end != 2):
        return -1, 0, 0, 0, 0, False
    if end == 2:
        code |= SHORT_YEAR
        three += 2000
    return behind + end, code, one, two, three, ahead == 1 or middle == 1


@kernel
def _since_1970(data: Any, at: int) -> tuple[int, int, int, int, int, int, int]:
    """Return (byte behind, code, day, month, year, seconds of the day, nanos) of a number that counts since 1970."""
    length = _run(data, at)
    unit = (length - 9) // 3
    if length < 9 or length > 19 or (length - 9) % 3 > 1 or (length == 19 and data[at] == 57):
        return -1, 0, 0, 0, 0, 0, 0
    per_second = 1
    for _ in range(unit):
        per_second *= 1000
    count = _digits(data, at, length)
    seconds = count // per_second
    nanos = count % per_second * (1_000_000_000 // per_second)
    # The civil calendar in years that begin in March, after H. Hinnant.
    days = seconds // 86_400 + 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    of_year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    day = of_era - (365 * of_year + of_year // 4 - of_year // 100)
    march = (5 * day + 2) // 153
    month = march + 3 if march < 10 else march - 9
    year = of_year + era * 400 + (1 if month <= 2 else 0)
    return at + length, EPOCH | unit * SECONDS, day - (153 * march + 2) // 5 + 1, month, year, seconds % 86_400, nanos


@kernel
def _join(data: Any, at: int, delimiter: int) -> tuple[int, int]:
    """Return (byte at which the time begins, code); the code is 0 when the cell ends, the byte -1 for anything else."""
    mark = data[at]
    if mark == delimiter or mark == 10 or mark == 13:
        return at, 0
    if mark == 84:
        return at + 1, LETTER_T
    if mark != 32:
        return -1, 0
    while data[at] == 32:
        at += 1
    return at, SPACE


@kernel
def _time(data: Any, at: int, delimiter: int) -> tuple[int, int, int, int, int, bool]:
    """Return (byte behind, code, seconds of the day, nanos, offset, whether the hour has one digit); -1 for no time."""
    ahead = _run(data, at)
    code = second = nano = offset = 0
    if 3 <= ahead <= 6:
        code = CLOSE_TIME | (SECONDS if ahead > 4 else 0)
        wide = 2 - ahead % 2
        hour, minute = _digits(data, at, wide), _digits(data, at + wide, 2)
        second = _digits(data, at + wide + 2, 2) if ahead > 4 else 0
        at += ahead
    else:
        wide = ahead
        behind = at + ahead + 1
        if ahead < 1 or ahead > 2 or data[behind - 1] != 58 or _run(data, behind) != 2:
            return -1, 0, 0, 0, 0, False
        hour, minute = _digits(data, at, ahead), _digits(data, behind, 2)
        at = behind + 2
        if data[at] == 58:
            if _run(data, at + 1) != 2:
                return -1, 0, 0, 0, 0, False
            second = _digits(data, at + 1, 2)
            code = SECONDS
            at += 3
            if data[at] == 46:
                at, nano = _fraction(data, at + 1)
                code |= FRACTION
        if at >= 0:
            at, hour, part = _half(data, at, hour)
            code |= part
    if at >= 0 and data[at] != delimiter and (data[at] == 32 or data[at] == 90 or data[at] == 43 or data[at] == 45):
        at, offset = _offset(data, at)
        code |= OFFSET
    if hour > 23 or minute > 59 or second > 59:
        return -1, 0, 0, 0, 0, False
    return at, code, hour * 3600 + minute * 60 + second, nano, offset, wide == 1


@kernel
def _half(data: Any, at: int, hour: int) -> tuple[int, int, int]:
    """Return (byte behind AM or PM, hour since midnight, code); the same hour when there is neither."""
    begin = at + 1 if data[at] == 32 else at
    letter = data[begin] | 32
    if (letter != 97 and letter != 112) or (data[begin + 1] | 32) != 109:
        return at, hour, 0
    if hour < 1 or hour > 12:
        return -1, 0, 0
    return begin + 2, hour % 12 + (12 if letter == 112 else 0), HALF


@kernel
def _fraction(data: Any, at: int) -> tuple[int, int]:
    """Return (byte behind, nanoseconds) of one to nine digits; the byte is -1 for anything else."""
    length = _run(data, at)
    if length < 1 or length > 9:
        return -1, 0
    value = _digits(data, at, length)
    for _ in range(9 - length):
        value *= 10
    return at + length, value


@kernel
def _offset(data: Any, at: int) -> tuple[int, int]:
    """Return (byte behind, seconds east of UTC) of `Z`, `+03`, `+0300` or `+03:00`; the byte is -1 otherwise."""
    if data[at] == 32:
        at += 1
    mark = data[at]
    if mark == 90:
        return at + 1, 0
    if mark != 43 and mark != 45:
        return -1, 0  # it may be the last byte
    ahead = _run(data, at + 1)
    if ahead != 2 and ahead != 4:
        return -1, 0
    hours, minutes = _digits(data, at + 1, 2), 0
    at += ahead + 1
    if ahead == 4:
        minutes = _digits(data, at - 2, 2)
    elif data[at] == 58:
        if _run(data, at + 1) != 2:
            return -1, 0
        minutes = _digits(data, at + 1, 2)
        at += 3
    if hours > 14 or minutes > 59:
        return -1, 0
    seconds = hours * 3600 + minutes * 60
    return at, -seconds if mark == 45 else seconds
