//! Tests of stories.

mod gates;
