//! A program on a terminal of its own, whose other end counts what is drawn.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::Answer;

/// How long a screen may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program on a terminal of 120×36. It is ended when this is dropped.
pub(crate) struct OnTerminal {
    child: Child,
    drawn: Arc<AtomicU64>,
    reader: Option<JoinHandle<()>>,
}

impl OnTerminal {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no terminal to be had, or it cannot be started.
    pub(crate) fn start(command: &mut Command) -> Answer<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        tcsetwinsize(&master, Winsize { ws_row: 36, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 })?;
        let terminal = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        let child = command.stdin(terminal.try_clone()?).stdout(terminal).stderr(Stdio::null()).spawn()?;
        // The command keeps ends of the terminal; without them the reader hears its end when the child goes.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let drawn = Arc::new(AtomicU64::new(0));
        let (mut screen, count) = (File::from(master), Arc::clone(&drawn));
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            // A terminal that nobody holds open any more answers EIO.
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                count.fetch_add(u64::try_from(read).unwrap_or(0), Ordering::Relaxed);
            }
        });
        Ok(Self { child, drawn, reader: Some(reader) })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Bytes that were drawn so far.
    pub(crate) fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }

    /// Waits until something is on the screen and nothing was added to it for a second.
    ///
    /// # Errors
    /// When that does not come, or the program ended.
    pub(crate) fn settle(&mut self) -> Answer<()> {
        let end = Instant::now() + PATIENCE;
        let mut seen = (0, Instant::now());
        while seen.0 == 0 || seen.1.elapsed() < Duration::from_secs(1) {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the console ended with {status}").into());
            }
            if Instant::now() >= end {
                return Err(format!("the screen never rests: {} bytes so far", self.drawn()).into());
            }
            if self.drawn() != seen.0 {
                seen = (self.drawn(), Instant::now());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
