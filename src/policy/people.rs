//! How many people there are behind a number of actors.

use crate::event::Actor;

/// Whether two actors are, or could be, one person: one uid of one host, whatever login name or SSH client is said; or one login name,
/// on whichever hosts.
///
/// The kernel vouches for the uid alone, and an account that several people share is one. A login name on two hosts is most
/// often one person with two accounts; to count her twice would let her approve herself. The price: two people who are both
/// `root` in their containers count as one.
#[must_use]
pub fn same_person(one: &Actor, other: &Actor) -> bool {
    (one.uid == other.uid && one.host == other.host) || one.login == other.login
}

/// The largest number of these actors of whom no two could be one person.
///
/// Each actor joins an account (host and uid) with a login name; people that differ in both are a matching in that graph, and the
/// largest one is found by augmenting paths (Kuhn 1955). Rejected: merging whoever looks alike, under which one more yes
/// could lower the count.
#[must_use]
pub fn count_people(actors: &[&Actor]) -> usize {
    let mut accounts: Vec<(&str, u32)> = actors.iter().map(|actor| (actor.host.as_str(), actor.uid)).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let names_of = |account: &(&str, u32)| -> Vec<&str> {
        actors.iter().filter(|actor| (actor.host.as_str(), actor.uid) == *account).map(|actor| actor.login.as_str()).collect()
    };
    let names: Vec<Vec<&str>> = accounts.iter().map(names_of).collect();
    let mut taken: Vec<(&str, usize)> = Vec::new();
    (0..accounts.len()).filter(|account| find_name(*account, &names, &mut taken, &mut Vec::new())).count()
}

/// Gives an account a login name of its own, if need be by giving another account another of its names.
fn find_name<'a>(account: usize, names: &[Vec<&'a str>], taken: &mut Vec<(&'a str, usize)>, tried: &mut Vec<&'a str>) -> bool {
    for name in names.get(account).into_iter().flatten() {
        if tried.contains(name) {
            continue;
        }
        tried.push(name);
        let holder = taken.iter().position(|(held, _)| held == name);
        match holder {
            None => {
                taken.push((name, account));
                return true;
            }
            Some(at) => {
                let other = taken.get(at).map_or(account, |(_, other)| *other);
                if find_name(other, names, taken, tried) {
                    // The other's old name is free now; its entry comes to this account.
                    if let Some(entry) = taken.iter_mut().find(|(held, holder)| held == name && *holder == other) {
                        entry.1 = account;
                    }
                    return true;
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn actor(host: &str, uid: u32, login: &str) -> Actor {
        Actor { uid, login: login.to_owned(), host: host.to_owned(), tty: None, ssh_client: None, via: "hms approve".to_owned() }
    }

    fn count(actors: &[Actor]) -> usize {
        count_people(&actors.iter().collect::<Vec<_>>())
    }

    #[test]
    fn people_are_told_apart_by_account_and_by_name() {
        let ssh = |client: &str| Actor { ssh_client: Some(client.to_owned()), ..actor("jump", 1000, "release") };
        let table: [(&[Actor], usize); 7] = [
            (&[], 0),
            (&[actor("a", 1, "ada"), actor("a", 1, "ada")], 1),
            (&[actor("a", 1, "ada"), actor("a", 1, "bo")], 1),
            (&[ssh("10.0.0.1:1"), ssh("10.0.0.2:2")], 1),
            (&[actor("a", 1, "ada"), actor("b", 7, "ada")], 1),
            (&[actor("a", 1, "ada"), actor("a", 2, "bo")], 2),
            (&[actor("a", 1000, "ada"), actor("b", 1000, "bo")], 2),
        ];
        for (actors, wanted) in table {
            assert_eq!(count(actors), wanted, "{actors:?}");
        }
        // One account with three names and one name with three accounts are two people, not three.
        let star = [actor("a", 1, "x"), actor("a", 1, "y"), actor("a", 1, "z"), actor("b", 2, "x"), actor("c", 3, "x")];
        assert_eq!(count(&star), 2);
    }

    fn actors() -> impl Strategy<Value = Vec<Actor>> {
        let one = ("[ab]", 0..3u32, "[xyz]").prop_map(|(host, uid, login)| actor(&host, uid, &login));
        proptest::collection::vec(one, 0..8)
    }

    /// The same by trying every subset.
    fn by_hand(actors: &[Actor]) -> u32 {
        let apart =
            |chosen: &[&Actor]| chosen.iter().enumerate().all(|(at, one)| chosen.iter().skip(at + 1).all(|other| !same_person(one, other)));
        (0..1u32 << actors.len())
            .filter(|set| apart(&actors.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1).map(|(_, one)| one).collect::<Vec<_>>()))
            .map(u32::count_ones)
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn it_is_the_largest_group_of_different_people(actors in actors()) {
            prop_assert_eq!(count(&actors), usize::try_from(by_hand(&actors)).unwrap());
        }

        #[test]
        fn one_more_never_lowers_it_and_a_shared_uid_never_raises_it(actors in actors(), at in 0..8usize, login in "[xyz]", uid in 0..3u32) {
            let before = count(&actors);
            let mut more = actors.clone();
            more.push(actor("a", uid, &login));
            prop_assert!(count(&more) >= before);
            if let Some(known) = actors.get(at) {
                let mut again = actors.clone();
                again.push(Actor { ssh_client: Some("10.0.0.9:9".to_owned()), tty: Some("/dev/pts/9".to_owned()), ..known.clone() });
                prop_assert_eq!(count(&again), before);
            }
            let accounts = actors.iter().map(|actor| (&actor.host, actor.uid)).collect::<std::collections::BTreeSet<_>>().len();
            prop_assert!(before <= accounts, "an account counted twice");
        }
    }
}
