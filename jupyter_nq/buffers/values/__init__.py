"""What goes into an object and what comes out: tables, frames, arrays and values, as lanes of bytes and views."""
