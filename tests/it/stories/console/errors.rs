//! Where there can be no console, it is said in a line, with what to do instead.

use super::{SHORT, World};

#[test]
fn without_a_terminal_it_names_the_way_that_needs_none() {
    let world = World::new(SHORT);
    let said = world.hms(&[]);
    let error = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(2), "{error}");
    assert!(error.contains("needs a terminal") && error.contains("hms run --headless"), "{error}");
    assert!(said.stdout.is_empty());
}

#[test]
fn a_terminal_that_cannot_show_it_gets_no_escape() {
    let world = World::new(SHORT);
    let mut terminal = world.console_in(&world.path("repo"), &[], &[("TERM", "dumb")]);
    assert_eq!(terminal.end().code(), Some(2));
    assert!(terminal.screen.text().contains("hms run --headless"), "{}", terminal.screen.text());
    assert!(!terminal.screen.bytes.contains(&0x1b));
}

#[test]
fn without_a_repository_there_is_no_screen_for_a_blink() {
    let world = World::new(SHORT);
    let mut terminal = world.console_in(&world.path("home"), &[], &[]);
    assert_eq!(terminal.end().code(), Some(3), "{}", terminal.screen.text());
    assert!(terminal.screen.text().contains("Error: "), "{}", terminal.screen.text());
    assert!(!terminal.screen.bytes.contains(&0x1b));
}
