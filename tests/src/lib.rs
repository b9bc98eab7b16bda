//! API, end-to-end and fault tests
