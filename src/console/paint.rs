//! From one frame to the next in bytes: one write, between the marks of synchronized output, and nothing at all when the
//! frames are the same.

use std::io::{self, Write};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;

use super::panes::Screen;

/// Whether frames are marked (DEC mode 2026), so that a terminal shows them whole. Terminals without it pass the marks over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronized {
    /// Marked.
    #[default]
    Yes,
    /// Not: for terminals whose support is broken.
    No,
}

/// What a terminal shows, and the way to it.
#[derive(Debug)]
pub(crate) struct Painter<W> {
    out: W,
    synchronized: Synchronized,
    shown: Option<Screen>,
}

/// Whether anything was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Painted {
    Frame,
    Nothing,
}

impl<W: Write> Painter<W> {
    pub(crate) fn new(out: W, synchronized: Synchronized) -> Self {
        Self { out, synchronized, shown: None }
    }

    /// The terminal may show anything: the next frame is drawn whole.
    pub(crate) fn forget(&mut self) {
        self.shown = None;
    }

    /// Where frames go.
    #[cfg(test)]
    pub(crate) fn out(&self) -> &W {
        &self.out
    }

    /// Makes the terminal show this.
    pub(crate) fn paint(&mut self, screen: Screen) -> io::Result<Painted> {
        if self.shown.as_ref() == Some(&screen) {
            return Ok(Painted::Nothing);
        }
        let frame = frame(self.shown.as_ref(), &screen, self.synchronized)?;
        self.out.write_all(&frame)?;
        self.out.flush()?;
        self.shown = Some(screen);
        Ok(Painted::Frame)
    }
}

/// The bytes that lead from one screen to the next.
fn frame(shown: Option<&Screen>, next: &Screen, synchronized: Synchronized) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4096);
    if synchronized == Synchronized::Yes {
        queue!(bytes, BeginSynchronizedUpdate)?;
    }
    let same_size = shown.filter(|shown| shown.buffer.area == next.buffer.area);
    if same_size.is_none() {
        queue!(bytes, Hide, Clear(ClearType::All))?;
    } else if shown.is_some_and(|shown| shown.cursor.is_some()) {
        queue!(bytes, Hide)?;
    }
    let empty = Buffer::empty(next.buffer.area);
    let changes = same_size.map_or(&empty, |shown| &shown.buffer).diff(&next.buffer);
    if !changes.is_empty() {
        CrosstermBackend::new(&mut bytes).draw(changes.into_iter())?;
    }
    if let Some(cursor) = next.cursor {
        queue!(bytes, MoveTo(cursor.x, cursor.y), Show)?;
    }
    if synchronized == Synchronized::Yes {
        queue!(bytes, EndSynchronizedUpdate)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    /// Keeps each write apart.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn screen(text: &str) -> Screen {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 2));
        buffer.set_string(0, 0, text, ratatui::style::Style::new());
        Screen { buffer, cursor: None }
    }

    #[test]
    fn a_frame_is_one_write_between_its_marks_and_the_same_frame_is_none() {
        let mut painter = Painter::new(Writes::default(), Synchronized::Yes);
        assert_eq!(painter.paint(screen("one")).unwrap(), Painted::Frame);
        assert_eq!(painter.paint(screen("one")).unwrap(), Painted::Nothing);
        assert_eq!(painter.paint(screen("two")).unwrap(), Painted::Frame);
        let writes = &painter.out().0;
        assert_eq!(writes.len(), 2);
        for write in writes {
            assert!(write.starts_with(b"\x1b[?2026h") && write.ends_with(b"\x1b[?2026l"), "{:?}", String::from_utf8_lossy(write));
        }
    }

    #[test]
    fn a_frame_after_forgetting_is_whole() {
        let mut painter = Painter::new(Writes::default(), Synchronized::No);
        painter.paint(screen("one")).unwrap();
        painter.forget();
        assert_eq!(painter.paint(screen("one")).unwrap(), Painted::Frame);
        assert_eq!(painter.out().0[0], painter.out().0[1]);
    }
}
