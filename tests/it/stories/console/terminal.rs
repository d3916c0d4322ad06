//! A terminal of a program's own, and a screen that knows the few sequences which the console has any business to send.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use vte::{Params, Parser, Perform};

use super::PATIENCE;

const COLUMNS: usize = 100;
const ROWS: usize = 30;

/// A program on a terminal.
pub(super) struct Terminal {
    child: Child,
    /// The end that a terminal emulator has; none once it is closed.
    near: Option<File>,
    /// The program's end, kept open to look at its modes; none once it is closed.
    far: Option<OwnedFd>,
    before: Modes,
    parser: Parser,
    pub(super) screen: Screen,
    /// From the start to the first byte.
    pub(super) first_byte: Option<Duration>,
    begun: Instant,
}

/// The modes that raw mode changes.
pub(super) type Modes = (u32, u32, u32, u32);

fn modes(of: &OwnedFd) -> Modes {
    let Termios { input_modes, output_modes, control_modes, local_modes, .. } = tcgetattr(of).unwrap();
    (input_modes.bits(), output_modes.bits(), control_modes.bits(), local_modes.bits())
}

impl Terminal {
    pub(super) fn start(folder: &Path, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        let name = ptsname(&near, Vec::new()).unwrap();
        let far = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        tcsetwinsize(&near, Winsize { ws_row: ROWS as u16, ws_col: COLUMNS as u16, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let before = modes(&far);
        // A session whose terminal this is, as a login has it.
        let mut command = Command::new("setsid");
        prepare(&mut command);
        command.arg("--ctty").arg(env!("CARGO_BIN_EXE_hms")).args(arguments).current_dir(folder);
        let end = || Stdio::from(far.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self {
            child,
            near: Some(File::from(near)),
            far: Some(far),
            before,
            parser: Parser::new(),
            screen: Screen::default(),
            first_byte: None,
            begun: Instant::now(),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads what comes within that time, once; how many bytes there were.
    pub(super) fn read(&mut self, patience: Duration) -> usize {
        let Some(near) = &mut self.near else { return 0 };
        let patience = Timespec::try_from(patience).unwrap();
        let ready = poll(&mut [PollFd::from_borrowed_fd(near.as_fd(), PollFlags::IN)], Some(&patience)).unwrap();
        let mut bytes = [0; 8192];
        // The error is how a terminal whose program is gone ends.
        let count = if ready > 0 { near.read(&mut bytes).unwrap_or(0) } else { 0 };
        if count > 0 {
            self.first_byte.get_or_insert(self.begun.elapsed());
        }
        self.screen.bytes.extend(&bytes[..count]);
        self.parser.advance(&mut self.screen, &bytes[..count]);
        count
    }

    /// Waits until the screen is as wanted.
    pub(super) fn wait(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !wanted(&self.screen.text()) {
            assert!(begun.elapsed() < PATIENCE, "{what} did not come:\n{}", self.screen.text());
            self.read(Duration::from_millis(100));
        }
    }

    pub(super) fn wait_for(&mut self, text: &str) {
        self.wait(text, |screen| screen.contains(text));
    }

    pub(super) fn keys(&mut self, keys: &str) {
        self.near.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the program's end; what it wrote meanwhile is read.
    pub(super) fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            let status = self.child.try_wait().unwrap();
            let left = self.read(Duration::from_millis(20));
            if let (Some(status), 0) = (status, left) {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.screen.text());
        }
    }

    /// Whether the terminal is as it was found: its modes, its first screen, its cursor.
    pub(super) fn is_as_it_was(&self) -> bool {
        let modes_now = modes(self.far.as_ref().unwrap());
        modes_now == self.before && self.screen.modes.is_empty()
    }

    /// Closes the terminal, as a lost connection does.
    pub(super) fn close(&mut self) {
        self.far = None;
        self.near = None;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.close();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a terminal shows.
pub(super) struct Screen {
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    /// Modes that are set and were not, and those that are reset and were set.
    pub(super) modes: Vec<u16>,
    /// Sequences that are none of those which a console needs.
    pub(super) strange: Vec<String>,
    pub(super) bytes: Vec<u8>,
}

impl Default for Screen {
    fn default() -> Self {
        Self { cells: vec![vec![' '; COLUMNS]; ROWS], at: (0, 0), modes: Vec::new(), strange: Vec::new(), bytes: Vec::new() }
    }
}

impl Screen {
    pub(super) fn text(&self) -> String {
        self.cells.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    fn mode(&mut self, mode: u16, set: bool) {
        // The cursor is the one mode of these that a terminal begins with.
        let as_at_first = set == (mode == 25);
        self.modes.retain(|other| *other != mode);
        if !as_at_first {
            self.modes.push(mode);
        }
    }
}

impl Perform for Screen {
    fn print(&mut self, c: char) {
        let (row, column) = self.at;
        if let Some(cell) = self.cells.get_mut(row).and_then(|row| row.get_mut(column)) {
            *cell = c;
        }
        self.at.1 += 1;
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => self.at.1 = 0,
            b'\n' => self.at.0 += 1,
            byte => self.strange.push(format!("control {byte:#x}")),
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _: bool, action: char) {
        let numbers: Vec<u16> = params.iter().map(|param| param.first().copied().unwrap_or(0)).collect();
        match (intermediates, action, numbers.as_slice()) {
            (b"", 'm', _) => {}
            (b"", 'H', [row, column]) => self.at = (usize::from(*row).max(1) - 1, usize::from(*column).max(1) - 1),
            (b"", 'J', [2]) => self.cells = vec![vec![' '; COLUMNS]; ROWS],
            // Synchronized frames, cursor, second screen, bracketed paste.
            (b"?", 'h' | 'l', [mode @ (2026 | 25 | 1049 | 2004)]) => self.mode(*mode, action == 'h'),
            _ => self.strange.push(format!("CSI {intermediates:?} {numbers:?} {action}")),
        }
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _: bool) {
        self.strange.push(format!("OSC {params:?}"));
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _: bool, byte: u8) {
        self.strange.push(format!("ESC {intermediates:?} {byte}"));
    }

    fn hook(&mut self, _: &Params, _: &[u8], _: bool, action: char) {
        self.strange.push(format!("DCS {action}"));
    }
}
