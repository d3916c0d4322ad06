//! Tests of stories: the real programs, a real repository, a home of their own.

mod cluster;
mod console;
mod crash;
mod demo;
mod deploy_alone;
mod gates;
mod verbs;
