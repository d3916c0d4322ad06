//! Tests of rollout.
