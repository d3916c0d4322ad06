//! An order in which everything comes after what it rests on.

const CYCLE_LIMIT: usize = 10;

/// Orders `0..edges.len()` so that each comes after all that its edges name, and gives the cycles that stand against it (each
/// closed in reading: a → b means that a names b, and the last names the first). An edge to itself is passed over.
///
/// No recursion: ten thousand jobs in a chain are an honest file.
pub(super) fn order(edges: &[Vec<usize>]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut marks = vec![Mark::New; edges.len()];
    let (mut sorted, mut cycles) = (Vec::with_capacity(edges.len()), Vec::new());
    for start in 0..edges.len() {
        if marks.get(start) != Some(&Mark::New) {
            continue;
        }
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        mark(&mut marks, start, Mark::Open);
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            let target = edges.get(node).and_then(|targets| targets.get(*next)).copied();
            *next += 1;
            match target {
                None => {
                    mark(&mut marks, node, Mark::Done);
                    sorted.push(node);
                    path.pop();
                }
                Some(target) if target == node => {}
                Some(target) => match marks.get(target) {
                    Some(Mark::New) => {
                        mark(&mut marks, target, Mark::Open);
                        path.push((target, 0));
                    }
                    // A file of nothing but cycles has very many; a few of them tell it.
                    Some(Mark::Open) if cycles.len() >= CYCLE_LIMIT => {}
                    Some(Mark::Open) => {
                        let from = path.iter().position(|(node, _)| *node == target).unwrap_or_default();
                        cycles.push(path.iter().skip(from).map(|(node, _)| *node).collect());
                    }
                    Some(Mark::Done) | None => {}
                },
            }
        }
    }
    (sorted, cycles)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    Open,
    Done,
}

fn mark(marks: &mut [Mark], index: usize, value: Mark) {
    if let Some(mark) = marks.get_mut(index) {
        *mark = value;
    }
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn order_and_cycles() {
        assert_eq!(order(&[vec![1], vec![2], vec![]]), (vec![2, 1, 0], vec![]));
        let (_, cycles) = order(&[vec![1], vec![2], vec![0], vec![3], vec![0]]);
        assert_eq!(cycles, [vec![0, 1, 2]]);
    }
}
