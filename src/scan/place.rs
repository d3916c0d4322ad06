//! Where in a file something is, for people: line and column, both from 1.

/// A place in a file. A column counts Unicode code points, as editors do; bytes that are no UTF-8 count one each
/// (but for those that look like the middle of a character).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The line, from 1. `\n` ends a line.
    pub(crate) line: u64,
    /// The column, from 1.
    pub(crate) column: u64,
}

impl Place {
    /// The first place of a file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    /// The place after these bytes.
    pub(crate) fn after(self, bytes: &[u8]) -> Self {
        let mut place = self;
        for byte in bytes {
            if *byte == b'\n' {
                place = Self { line: place.line + 1, column: 1 };
            } else if byte & 0xc0 != 0x80 {
                place.column += 1;
            }
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns() {
        let table: [(&[u8], u64, u64); 7] = [
            (b"", 1, 1),
            (b"abc", 1, 4),
            (b"abc\n", 2, 1),
            (b"\n\n  ", 3, 3),
            (b"a\r\nb", 2, 2),
            ("ä€𝄞".as_bytes(), 1, 4),
            (b"\xff\xfe\0", 1, 4),
        ];
        for (bytes, line, column) in table {
            assert_eq!(Place::START.after(bytes), Place { line, column }, "{bytes:?}");
            let (left, right) = bytes.split_at(bytes.len() / 2);
            assert_eq!(Place::START.after(left).after(right), Place { line, column }, "{bytes:?} in two");
        }
    }
}
