//! Tests of canary.
