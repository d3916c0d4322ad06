//! Headers of a tar archive, for archives that are the same wherever they are made. Pure.
//!
//! Source: POSIX.1-2018, `pax`: ustar interchange format, and pax extended headers for what its fields cannot hold.

/// Everything is written in blocks of so many bytes.
pub const BLOCK: usize = 512;
/// Two empty blocks end an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
/// The most that a name's field holds.
const NAME_BYTES: usize = 100;
/// The most that eleven octal digits hold.
const SIZE_LIMIT: u64 = 0o777_7777_7777;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A folder, whose path ends in `/`.
    Folder,
    /// A file.
    File {
        /// Whether it can be run.
        executable: bool,
        /// How long it is, in bytes.
        bytes: u64,
    },
    /// A link.
    Link {
        /// Where it leads.
        text: &'a [u8],
    },
}

/// The header of an entry, with a pax header before it when it needs one. Times are 0, the owner is root, and nothing has a name.
#[must_use]
pub fn header(path: &[u8], kind: Kind<'_>) -> Vec<u8> {
    let (mode, size, flag, link): (u32, u64, u8, &[u8]) = match kind {
        Kind::Folder => (0o755, 0, b'5', b""),
        Kind::File { executable: true, bytes } => (0o755, bytes, b'0', b""),
        Kind::File { executable: false, bytes } => (0o644, bytes, b'0', b""),
        Kind::Link { text } => (0o777, 0, b'2', text),
    };
    let fits = |text: &[u8]| text.len() <= NAME_BYTES && text.is_ascii();
    let mut records = Vec::new();
    if !fits(path) {
        records.extend(record("path", path));
    }
    if !fits(link) {
        records.extend(record("linkpath", link));
    }
    if size > SIZE_LIMIT {
        records.extend(record("size", size.to_string().as_bytes()));
    }
    let mut all = Vec::new();
    if !records.is_empty() {
        let length = u64::try_from(records.len()).unwrap_or(u64::MAX);
        all.extend(block(b"pax", 0o644, length, b'x', b""));
        all.extend(&records);
        all.extend(padding(length));
    }
    let short = |text: &[u8]| text.iter().filter(|byte| byte.is_ascii()).take(NAME_BYTES).copied().collect::<Vec<u8>>();
    all.extend(block(&short(path), mode, if size > SIZE_LIMIT { 0 } else { size }, flag, &short(link)));
    all
}

/// What follows so many bytes up to the end of their block.
#[must_use]
pub fn padding(bytes: u64) -> Vec<u8> {
    let block = u64::try_from(BLOCK).unwrap_or(u64::MAX);
    vec![0; usize::try_from((block - bytes % block) % block).unwrap_or(0)]
}

/// `<length> <key>=<value>\n`, where the length counts its own digits.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend(value);
    record.push(b'\n');
    record
}

fn block(name: &[u8], mode: u32, size: u64, flag: u8, link: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(BLOCK);
    let mut field = |bytes: &[u8], width: usize| {
        block.extend_from_slice(bytes);
        block.extend(std::iter::repeat_n(0, width.saturating_sub(bytes.len())));
    };
    field(name, NAME_BYTES);
    field(format!("{mode:07o}").as_bytes(), 8);
    field(b"0000000", 8);
    field(b"0000000", 8);
    field(format!("{size:011o}").as_bytes(), 12);
    field(b"00000000000", 12);
    field(b"        ", 8);
    field(&[flag], 1);
    field(link, NAME_BYTES);
    field(b"ustar\x0000", 8);
    field(b"", 64);
    field(b"0000000", 8);
    field(b"0000000", 8);
    field(b"", 167);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block.splice(148..156, format!("{sum:06o}\0 ").into_bytes());
    block
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_counts_itself() {
        assert_eq!(record("path", b"a"), b"9 path=a\n");
        assert_eq!(record("path", b""), b"8 path=\n");
        assert_eq!(record("path", b"ab"), b"11 path=ab\n", "the length's second digit counts too");
        assert_eq!((record("path", &[b'x'; 90]).len(), record("path", &[b'x'; 91]).len()), (99, 101));
    }

    #[test]
    fn what_fits_needs_no_second_header() {
        assert_eq!(header(b"app/a", Kind::File { executable: true, bytes: 5 }).len(), BLOCK);
        assert_eq!(header("a".repeat(100).as_bytes(), Kind::Folder).len(), BLOCK);
        assert_eq!(header("a".repeat(101).as_bytes(), Kind::Folder).len(), 3 * BLOCK);
        assert_eq!(header("é".as_bytes(), Kind::Folder).len(), 3 * BLOCK);
        assert_eq!(header(b"a", Kind::Link { text: &[b'b'; 101] }).len(), 3 * BLOCK);
        assert_eq!(header(b"a", Kind::File { executable: false, bytes: SIZE_LIMIT + 1 }).len(), 3 * BLOCK);
    }

    proptest! {
        #[test]
        fn headers_are_whole_blocks_and_records_have_their_length(path in "\\PC{1,200}", text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(header(path.as_bytes(), Kind::Link { text: &text }).len() % BLOCK, 0);
            let record = record("path", &text);
            let length: usize = String::from_utf8_lossy(&record).split(' ').next().unwrap().parse().unwrap();
            prop_assert_eq!(length, record.len());
        }

        #[test]
        fn padding_fills_a_block(bytes in any::<u32>()) {
            let padding = padding(u64::from(bytes));
            prop_assert!(padding.len() < BLOCK);
            prop_assert_eq!((u64::from(bytes) + u64::try_from(padding.len()).unwrap()) % 512, 0);
        }
    }
}
