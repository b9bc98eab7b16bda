//! Carries requests from the API to the worker
