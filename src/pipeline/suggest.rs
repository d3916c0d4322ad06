//! The name that was probably meant.

/// The nearest of the names, if one is near: a third of the letters off at most, or two, or for short words one.
pub(super) fn nearest<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let given: Vec<char> = given.to_lowercase().chars().take(80).collect();
    let allowed = match given.len() {
        0 | 1 => return None,
        2 | 3 => 1,
        length => (length / 3).max(2),
    };
    let mut best: Option<(usize, &str)> = None;
    for name in names {
        let letters: Vec<char> = name.to_lowercase().chars().take(80).collect();
        if letters.len().abs_diff(given.len()) > allowed {
            continue;
        }
        let distance = distance(&given, &letters);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Optimal string alignment: an exchange of two neighbours counts as one mistake, as it is one.
fn distance(left: &[char], right: &[char]) -> usize {
    let width = right.len() + 1;
    let mut before: Vec<usize> = vec![0; width];
    let mut above: Vec<usize> = (0..width).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut line = vec![row + 1; width];
        for (column, other) in right.iter().enumerate() {
            let at = |cells: &[usize], index: usize| cells.get(index).copied().unwrap_or(usize::MAX - 1);
            let mut least = (at(&above, column) + usize::from(letter != other)).min(at(&above, column + 1) + 1).min(at(&line, column) + 1);
            let swapped = row > 0 && column > 0 && left.get(row - 1) == Some(other) && right.get(column - 1) == Some(letter);
            if swapped {
                least = least.min(at(&before, column - 1) + 1);
            }
            if let Some(cell) = line.get_mut(column + 1) {
                *cell = least;
            }
        }
        before = std::mem::replace(&mut above, line);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["script", "stage", "needs", "build"];
        assert_eq!(nearest("scirpt", names), Some("script"));
        assert_eq!(nearest("Stages", names), Some("stage"));
        assert_eq!(nearest("biuld", names), Some("build"));
        assert_eq!(nearest("deploy", names), None);
        assert_eq!(nearest("", names), None);
    }
}
