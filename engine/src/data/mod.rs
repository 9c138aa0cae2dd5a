//! Data sets: one file and one line each.
