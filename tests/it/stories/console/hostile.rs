//! A job's output is somebody else's text: colours of it reach the terminal, and nothing that does anything.

use super::World;

/// Writes to the clipboard, sets the title, asks for answers that would be typed, changes modes, turns text around, goes elsewhere.
const HOSTILE: &str = r#"build:
  script:
    - printf '\033]52;c;\132XZpbA==\007 clipboard\n'
    - printf '\033]0;evil\033\\ title\n'
    - printf '\033[6n\033[c\033[>c\033[5n asked\n'
    - printf '\033[?1049l\033[?25h\033[?1000h modes\n'
    - printf '\033P$q"p\033\\ dcs\n'
    - printf '\033[2J\033[1;1H\033cgone elsewhere\n'
    - printf 'ab\342\200\256cd\342\201\246 turned\n'
    - printf '\302\233[31m eight bits \302\235 \377\n'
    - printf '\033[31mred\033[0m and plain\n'
    - echo the end
"#;

#[test]
fn nothing_of_a_hostile_log_reaches_the_terminal_but_its_words() {
    let world = World::new(HOSTILE);
    assert!(world.hms(&["run", "--headless"]).status.success());
    let mut terminal = world.console(&[]);
    terminal.wait_for("the end");
    for word in ["clipboard", "title", "asked", "modes", "dcs", "elsewhere", "turned", "eight bits", "red and plain"] {
        terminal.wait_for(word);
    }
    // Scrolled, wrapped, searched, zoomed: each way to draw it.
    for keys in ["z", "w", "\x1b[A", "/title\r", "n", "z"] {
        terminal.keys(keys);
    }
    terminal.keys("q");
    assert_eq!(terminal.end().code(), Some(0));
    let screen = &terminal.screen;
    assert_eq!(screen.strange, Vec::<String>::new());
    let text = String::from_utf8_lossy(&screen.bytes);
    assert!(!text.contains('\u{202e}') && !text.contains('\u{2066}') && !text.contains('\u{9b}'));
    assert!(!text.contains("ZXZpbA=="));
    assert!(terminal.is_as_it_was(), "{:?}", screen.modes);
}
