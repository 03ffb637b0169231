"""Kernels that read rows of a text table from its bytes: stamps, prices and volumes, strictly and exactly.

A kernel takes whole lines and stops at the first row that it does not understand; nothing is guessed and
nothing is wrong with such a row yet. What it understands has the same value, bit for bit, as in the general
path: a price of at most 2**53 in digits and 10**22 in decimals is one correctly rounded division.

The bytes are int8, so that no arithmetic on them outgrows a byte, and the last one is a line break: runs of
digits end at it, so that only the beginning of a row is compared with the end of the bytes.
"""

from __future__ import annotations

from typing import Any

from jupyter_nq.bars.compiled import kernel

SKIPPED, STAMP, DATE, TIME, OPEN, HIGH, LOW, CLOSE, VOLUME = range(9)
"""What a column holds; `STAMP` is date and time in one column, `DATE` and `TIME` are in two."""

ISO, SECONDS, FRACTION, OFFSET = 1, 2, 4, 8
SLASH, DOT, DASH = 16, 32, 48
SPACE, LETTER_T = 64, 128
"""Bits of a layout's code, see `layout_of`: separator in two bits, what joins date and time in two."""

SEEN, UNPADDED = 1, 2
"""What is known of a layout: that a row has it, that a row of it has a number of one digit."""

_DIGITS = 18  # more could outgrow 64 bits
_EXACT = 1 << 53
_LONGEST = 47  # characters of the longest stamp


@kernel
def read_rows(
    data: Any, roles: Any, delimiter: int, decimal: int, powers: Any, fields: Any, prices: Any, volumes: Any, seen: Any
) -> tuple[int, int]:
    """Read rows from the beginning of some bytes, and return (rows, byte at which the next row begins).

    Parameters
    ----------
    data
        int8 (bytes,): whole lines, the last byte a line break.
    roles
        int64 (columns,): what each column of the table holds.
    delimiter, decimal
        Codes of the two characters.
    powers
        float64 (23,): the powers of ten.
    fields
        Tuple of arrays (capacity,) to be filled: layout code, first, second, year, time, nanos, offset.
    prices, volumes
        float64 (4, capacity) and int64 (capacity,) to be filled.
    seen
        uint8 (256,): by layout code what is known of it; added to.
    """
    codes, firsts, seconds, years, times, nanos, offsets = fields
    capacity = len(codes)
    last = len(roles) - 1
    position = row = 0
    while position < len(data) and row < capacity:
        at = position
        if data[at] == 10:
            position += 1
            continue
        if data[at] == 13 and data[at + 1] == 10:
            position += 2
            continue
        code = width = first = second = year = time = nano = offset = volume = 0
        unpadded = False
        for column in range(len(roles)):
            role = roles[column]
            start = at
            if delimiter != 32:
                while data[at] == 32:
                    at += 1
            if role >= OPEN and role <= CLOSE:
                at, price = _price(data, at, decimal, powers)
                if at >= 0:
                    prices[role - OPEN, row] = price
            elif role == VOLUME:
                at, part = _whole(data, at)
                volume += part
            elif role == SKIPPED:
                at = _skip(data, at, delimiter)
            else:
                if role != TIME:
                    at, part, first, second, year, narrow = _date(data, at)
                    code |= part
                    unpadded = unpadded or narrow
                    if at >= 0 and role == STAMP:
                        at, part = _join(data, at, delimiter)
                        code |= part
                        if part:
                            role = TIME
                else:
                    code |= SPACE
                if role == TIME and at >= 0:
                    at, part, time, nano, offset, narrow = _time(data, at)
                    code |= part
                    unpadded = unpadded or narrow
                width += at - start
            if at < 0 or width > _LONGEST:
                return row, position
            if column < last:
                if data[at] != delimiter:
                    return row, position
                at += 1
        if data[at] == 13:
            at += 1
        if data[at] != 10:
            return row, position
        codes[row], firsts[row], seconds[row], years[row] = code, first, second, year
        times[row], nanos[row], offsets[row] = time, nano, offset
        volumes[row] = volume
        seen[code] |= SEEN | (UNPADDED if unpadded else 0)
        position = at + 1
        row += 1
    return row, position


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
def _short(data: Any, at: int) -> tuple[int, int]:
    """Return (byte behind, value) of one digit or two; the byte is -1 when there is none."""
    if not 48 <= data[at] <= 57:
        return -1, 0
    value = int(data[at]) - 48
    at += 1
    if 48 <= data[at] <= 57:
        value = value * 10 + int(data[at]) - 48
        at += 1
    return at, value


@kernel
def _pair(data: Any, at: int) -> tuple[int, int]:
    """Return (byte behind, value) of two digits; the byte is -1 when there are not two."""
    behind, value = _short(data, at)
    return (behind, value) if behind == at + 2 else (-1, 0)


@kernel
def _date(data: Any, at: int) -> tuple[int, int, int, int, int, bool]:
    """Return (byte behind, code, first, second, year, whether a number has one digit); the byte is -1 for no date."""
    begin = at
    at, first = _short(data, at)
    if at < 0:
        return -1, 0, 0, 0, 0, False
    if 48 <= data[at] <= 57:
        return _iso_date(data, begin)
    narrow = at == begin + 1
    mark = data[at]
    code = _separator(mark)
    begin = at + 1
    at, second = _short(data, begin)
    if code == 0 or at < 0 or data[at] != mark:
        return -1, 0, 0, 0, 0, False
    narrow = narrow or at == begin + 1
    at, century = _pair(data, at + 1)
    if at < 0:
        return -1, 0, 0, 0, 0, False
    at, year = _pair(data, at)
    return at, code, first, second, century * 100 + year, narrow


@kernel
def _iso_date(data: Any, at: int) -> tuple[int, int, int, int, int, bool]:
    """Return the same as `_date` for a date that begins with the year."""
    at, century = _pair(data, at)
    if at >= 0:
        at, year = _pair(data, at)
    if at < 0:
        return -1, 0, 0, 0, 0, False
    mark = data[at]
    code = _separator(mark)
    begin = at + 1
    at, month = _short(data, begin)
    if code == 0 or at < 0 or data[at] != mark:
        return -1, 0, 0, 0, 0, False
    narrow = at == begin + 1
    begin = at + 1
    at, day = _short(data, begin)
    return at, code | ISO, day, month, century * 100 + year, narrow or at == begin + 1


@kernel
def _separator(mark: int) -> int:
    if mark == 47:
        return SLASH
    if mark == 46:
        return DOT
    return DASH if mark == 45 else 0


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
def _time(data: Any, at: int) -> tuple[int, int, int, int, int, bool]:
    """Return (byte behind, code, seconds of the day, nanos, offset, whether the hour has one digit); -1 for no time."""
    begin = at
    at, hour = _short(data, at)
    narrow = at == begin + 1
    if at < 0 or data[at] != 58 or hour > 23:
        return -1, 0, 0, 0, 0, False
    at, minute = _pair(data, at + 1)
    if at < 0 or minute > 59:
        return -1, 0, 0, 0, 0, False
    code = second = nano = offset = 0
    if data[at] == 58:
        at, second = _pair(data, at + 1)
        if at < 0 or second > 59:
            return -1, 0, 0, 0, 0, False
        code = SECONDS
        if data[at] == 46:
            at, nano = _fraction(data, at + 1)
            code |= FRACTION
    if at >= 0 and (data[at] == 32 or data[at] == 90 or data[at] == 43 or data[at] == 45):
        at, offset = _offset(data, at)
        code |= OFFSET
    return at, code, hour * 3600 + minute * 60 + second, nano, offset, narrow


@kernel
def _fraction(data: Any, at: int) -> tuple[int, int]:
    """Return (byte behind, nanoseconds) of one to nine digits; the byte is -1 for anything else."""
    start = at
    value = 0
    while 48 <= data[at] <= 57 and at < start + 9:
        value = value * 10 + int(data[at]) - 48
        at += 1
    for _ in range(start + 9 - at):
        value *= 10
    return (at, value) if at > start else (-1, 0)


@kernel
def _offset(data: Any, at: int) -> tuple[int, int]:
    """Return (byte behind, seconds east of UTC) of `Z`, `+03`, `+0300` or `+03:00`; the byte is -1 otherwise."""
    if data[at] == 32:
        at += 1
    mark = data[at]
    if mark == 90:
        return at + 1, 0
    if mark != 43 and mark != 45:
        return -1, 0
    at, hours = _pair(data, at + 1)
    if at < 0 or hours > 14:
        return -1, 0
    minutes = 0
    if data[at] == 58 or 48 <= data[at] <= 57:
        at, minutes = _pair(data, at + 1 if data[at] == 58 else at)
        if at < 0 or minutes > 59:
            return -1, 0
    seconds = hours * 3600 + minutes * 60
    return at, -seconds if mark == 45 else seconds
