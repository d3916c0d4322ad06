//! The word that was probably meant.

/// The word nearest to `given`, if at most a third of its letters differ; two neighbours exchanged are one mistake, as they are to a person.
pub(super) fn nearest<'a>(given: &str, words: &[&'a str]) -> Option<&'a str> {
    let given: Vec<char> = given.chars().take(64).map(|one| one.to_ascii_lowercase()).collect();
    words
        .iter()
        .map(|word| (distance(&given, &word.chars().collect::<Vec<_>>()), *word))
        .filter(|(distance, word)| *distance <= (word.len().max(given.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The optimal string alignment distance.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut table = vec![vec![0; right.len() + 1]; left.len() + 1];
    for row in 0..=left.len() {
        for column in 0..=right.len() {
            table[row][column] = if row == 0 || column == 0 {
                row + column
            } else {
                let change = table[row - 1][column - 1] + usize::from(left[row - 1] != right[column - 1]);
                let least = change.min(table[row - 1][column] + 1).min(table[row][column - 1] + 1);
                let exchanged = row > 1 && column > 1 && left[row - 1] == right[column - 2] && left[row - 2] == right[column - 1];
                if exchanged { least.min(table[row - 2][column - 2] + 1) } else { least }
            };
        }
    }
    table[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let words = ["approvals", "namespace", "protected"];
        assert_eq!(nearest("aprovals", &words), Some("approvals"));
        assert_eq!(nearest("Protcted", &words), Some("protected"));
        assert_eq!(nearest("p59", &["error_rate", "p95"]), Some("p95"));
        assert_eq!(nearest("colour", &words), None);
        assert_eq!(nearest("", &words), None);
    }
}
