//! Conformance suites, broken doubles and fixtures
