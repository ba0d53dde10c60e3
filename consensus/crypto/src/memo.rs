//! What held once holds again: checks of signatures are remembered, for whole networks in one process (feature `memo`).
//!
//! A check is a pure function of its bytes, and each of seven simulated operators makes the same one. No node that is
//! shipped remembers anything: it takes the feature, and a thread that asks for it.

/// Runs `check` unless the same one, by all that it depends on, has held in this thread since [`begin`].
#[cfg(not(feature = "memo"))]
pub(crate) fn once<E>(_: &[&[u8]], check: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    check()
}

#[cfg(feature = "memo")]
pub use remembering::begin;
#[cfg(feature = "memo")]
pub(crate) use remembering::once;

#[cfg(feature = "memo")]
mod remembering {
    use crate::hash::{Hash32, sha256_all};
    use std::cell::RefCell;
    use std::collections::HashSet;

    thread_local! {
        static HELD: RefCell<Option<HashSet<Hash32>>> = const { RefCell::new(None) };
    }

    /// From now on this thread remembers what holds, and nothing from before.
    pub fn begin() {
        HELD.set(Some(HashSet::new()));
    }

    pub(crate) fn once<E>(parts: &[&[u8]], check: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let name = HELD.with_borrow(|held| held.as_ref().map(|_| name(parts)));
        let Some(name) = name else { return check() };
        let held = HELD.with_borrow(|held| held.as_ref().is_some_and(|held| held.contains(&name)));
        if !held {
            check()?;
            HELD.with_borrow_mut(|held| held.as_mut().is_some_and(|held| held.insert(name)));
        }
        Ok(())
    }

    /// Each part with its length, so that no two lists of parts read alike.
    fn name(parts: &[&[u8]]) -> Hash32 {
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
        let all: Vec<&[u8]> = lengths.iter().zip(parts).flat_map(|(length, part)| [&length[..], part]).collect();
        sha256_all(&all)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_held_is_not_asked_again_and_what_did_not_is() {
            let mut asked = 0;
            let mut ask = |parts: &[&[u8]], holds: bool| {
                once(parts, || {
                    asked += 1;
                    if holds { Ok(()) } else { Err(()) }
                })
            };
            assert_eq!([ask(&[b"ab"], true), ask(&[b"ab"], true)], [Ok(()), Ok(())]);
            begin();
            assert_eq!([ask(&[b"ab"], true), ask(&[b"ab"], false)], [Ok(()), Ok(())], "the second is not asked");
            assert_eq!(ask(&[b"a", b"b"], false), Err(()), "other parts are another check");
            assert_eq!(ask(&[b"a", b"b"], true), Ok(()), "a refusal is not remembered");
            assert_eq!(asked, 5);
        }
    }
}
