//! Load generator and the bare program to compare with
