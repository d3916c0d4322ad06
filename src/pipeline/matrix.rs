//! `parallel`: one job of the file, several of the plan (GitLab `lib/gitlab/ci/config/normalizer/`).

/// The most instances that a job may have.
pub(super) const INSTANCE_LIMIT: usize = 200;

/// `parallel: N`, or `parallel: {matrix: …}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parallel {
    Count(u32),
    Matrix(Matrix),
}

/// Lists of variables, each with its values, in the order of the file.
pub(super) type Matrix = Vec<Vec<(String, Vec<String>)>>;

/// One of the jobs that a job of the file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instance {
    pub(super) name: String,
    /// Index from 1, and total.
    pub(super) node: Option<(u32, u32)>,
    pub(super) variables: Vec<(String, String)>,
}

/// How many instances a matrix makes.
pub(super) fn count(matrix: &Matrix) -> usize {
    let products = matrix.iter().map(|lists| lists.iter().fold(1usize, |product, (_, values)| product.saturating_mul(values.len())));
    products.fold(0, usize::saturating_add)
}

/// The instances of a job: itself, or `name 1/N` …, or `name: [a, b]` ….
pub(super) fn instances(name: &str, parallel: Option<&Parallel>) -> Vec<Instance> {
    match parallel {
        None => vec![Instance { name: name.to_owned(), node: None, variables: Vec::new() }],
        Some(Parallel::Count(total)) => (1..=*total)
            .map(|index| Instance { name: format!("{name} {index}/{total}"), node: Some((index, *total)), variables: Vec::new() })
            .collect(),
        Some(Parallel::Matrix(matrix)) => {
            let total = u32::try_from(count(matrix)).unwrap_or(u32::MAX);
            let combinations = combinations(matrix).into_iter().zip(1..);
            combinations
                .map(|(variables, index)| Instance { name: matrix_name(name, &variables), node: Some((index, total)), variables })
                .collect()
        }
    }
}

fn matrix_name(name: &str, variables: &[(String, String)]) -> String {
    let values: Vec<&str> = variables.iter().map(|(_, value)| value.as_str()).collect();
    format!("{name}: [{}]", values.join(", "))
}

/// The names of a job's instances that a part of its matrix makes.
pub(super) fn names(name: &str, matrix: &Matrix) -> Vec<String> {
    combinations(matrix).iter().map(|variables| matrix_name(name, variables)).collect()
}

/// Every combination of values, the last variable's changing fastest; at most as many as a job may have.
fn combinations(matrix: &Matrix) -> Vec<Vec<(String, String)>> {
    if count(matrix) > INSTANCE_LIMIT {
        return Vec::new();
    }
    let mut all = Vec::new();
    for lists in matrix {
        let mut made: Vec<Vec<(String, String)>> = vec![Vec::new()];
        for (variable, values) in lists {
            made = made
                .iter()
                .flat_map(|before| values.iter().map(|value| before.iter().cloned().chain([(variable.clone(), value.clone())]).collect()))
                .collect();
        }
        all.extend(made);
    }
    all
}

/// `$[[ matrix.NAME ]]` in a text replaced by an instance's values; an unknown name is given back.
pub(super) fn interpolate(text: &str, variables: &[(String, String)]) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("$[[") {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let Some((data, tail)) = after.strip_prefix("$[[").and_then(|inner| inner.split_once("]]")) else {
            rest = after;
            break;
        };
        match data.trim().strip_prefix("matrix.") {
            Some(name) => match variables.iter().find(|(variable, _)| variable == name) {
                Some((_, value)) => out.push_str(value),
                None => return Err(name.to_owned()),
            },
            None => out.push_str(after.get(..after.len() - tail.len()).unwrap_or_default()),
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(pairs: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        pairs.iter().map(|(name, values)| ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())).collect()
    }

    #[test]
    fn names_are_gitlabs() {
        let matrix = vec![lists(&[("A", &["1", "2"]), ("B", &["x", "y"])]), lists(&[("A", &["3"])])];
        let made = instances("job", Some(&Parallel::Matrix(matrix)));
        let names: Vec<&str> = made.iter().map(|instance| instance.name.as_str()).collect();
        assert_eq!(names, ["job: [1, x]", "job: [1, y]", "job: [2, x]", "job: [2, y]", "job: [3]"]);
        assert_eq!(made[4].node, Some((5, 5)));
        let made = instances("test", Some(&Parallel::Count(2)));
        assert_eq!(made.iter().map(|instance| instance.name.as_str()).collect::<Vec<_>>(), ["test 1/2", "test 2/2"]);
    }

    #[test]
    fn a_matrix_that_is_too_large_is_counted_and_not_made() {
        let values: Vec<String> = (0..1_000).map(|value| value.to_string()).collect();
        let huge = vec![(0..8).map(|name| (format!("V{name}"), values.clone())).collect::<Vec<_>>()];
        assert_eq!(count(&huge), usize::MAX);
        assert!(names("x", &huge).is_empty());
    }

    #[test]
    fn values_of_an_instance_are_put_into_needs() {
        let variables = [("OS".to_owned(), "linux".to_owned())];
        assert_eq!(interpolate("build: [$[[ matrix.OS ]]]", &variables).unwrap(), "build: [linux]");
        assert_eq!(interpolate("$[[matrix.OS]]/$[[ inputs.x ]]", &variables).unwrap(), "linux/$[[ inputs.x ]]");
        assert_eq!(interpolate("$[[ matrix.ARCH ]]", &variables).unwrap_err(), "ARCH");
        assert_eq!(interpolate("$[[ matrix", &variables).unwrap(), "$[[ matrix");
    }
}
