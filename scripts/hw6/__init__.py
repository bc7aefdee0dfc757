"""The mathematics of the sheet: pure functions on arrays, one module a problem."""
