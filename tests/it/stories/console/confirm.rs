//! `manual_confirmation`: asked at a terminal before the yes is sent.

use std::time::Duration;

use super::World;

const GATE: &str = "gate:\n  when: manual\n  allow_failure: false\n  manual_confirmation: Is the change board told?\n  script: 'true'\n";

#[test]
fn only_a_typed_yes_starts_what_the_file_wants_confirmed() {
    let world = World::new(GATE);
    assert_eq!(world.hms(&["run", "--headless"]).status.code(), Some(10));
    let mut terminal = world.console(&["approve", "1", "gate"]);
    terminal.wait_for("Is the change board told?");
    terminal.wait_for("Start gate? Type yes:");
    terminal.keys("y\r");
    assert_eq!(terminal.end().code(), Some(13), "{}", terminal.screen.text());
    assert!(terminal.screen.text().contains("was not confirmed"), "{}", terminal.screen.text());
    world.wait_for_outcome("waiting");
    let mut terminal = world.console(&["approve", "1", "gate"]);
    terminal.wait_for("Type yes:");
    terminal.keys("yes\r");
    assert_eq!(terminal.end().code(), Some(0), "{}", terminal.screen.text());
    world.wait_for_outcome("success");
}

#[test]
fn the_console_shows_it_in_its_question() {
    let world = World::new(GATE);
    assert_eq!(world.hms(&["run", "--headless"]).status.code(), Some(10));
    let mut terminal = world.console(&["attach", "1"]);
    terminal.wait_for("gate");
    terminal.keys("P");
    terminal.wait_for("Is the change board told?");
    // A key that comes too soon after a question is not its answer.
    let mut tries = 0;
    while terminal.screen.text().contains("Is the change board told?") {
        assert!(tries < 200, "{}", terminal.screen.text());
        tries += 1;
        terminal.keys("y");
        terminal.read(Duration::from_millis(50));
    }
    world.wait_for_outcome("success");
}
