//! Use cases, policy and schedules
