//! Tests of stories.

mod demo;
