//! Tests of stories.

mod demo;
mod gates;
mod verbs;
