//! Metric handles looked up without allocating, and a bound on how many label sets one metric may have.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

/// Label sets one family may have; past that everything new is counted under `other`.
pub(crate) const LABEL_SETS_MAX: usize = 2000;

/// Handles by label values. Values of labels can come from clients (a model's name), so their number is bounded.
#[derive(Debug)]
pub(crate) struct Handles<T> {
    known: RwLock<HashMap<u64, Vec<Entry<T>>>>,
}

type Entry<T> = (Box<[Box<str>]>, Arc<T>);

impl<T> Handles<T> {
    pub(crate) fn new() -> Self {
        Handles { known: RwLock::new(HashMap::new()) }
    }

    /// The handles of these label values; `make` builds them once, from the values that are really used.
    pub(crate) fn get(&self, values: &[&str], make: impl FnOnce(&[&str]) -> T) -> Arc<T> {
        let hash = hash_of(values);
        let find = |known: &HashMap<u64, Vec<Entry<T>>>| {
            let same = |entry: &&Entry<T>| entry.0.iter().map(AsRef::as_ref).eq(values.iter().copied());
            known.get(&hash).and_then(|entries| entries.iter().find(same)).map(|(_, handles)| Arc::clone(handles))
        };
        // The map stays whole whatever panics elsewhere, so a poisoned lock is still good.
        if let Some(found) = find(&self.known.read().unwrap_or_else(PoisonError::into_inner)) {
            return found;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = find(&known) {
            return found;
        }
        if LABEL_SETS_MAX <= known.len() {
            let other = vec!["other"; values.len()];
            let found = known.get(&hash_of(&other)).and_then(|entries| entries.first());
            if let Some((_, handles)) = found {
                return Arc::clone(handles);
            }
            return insert(&mut known, &other, make);
        }
        insert(&mut known, values, make)
    }
}

fn insert<T>(known: &mut HashMap<u64, Vec<Entry<T>>>, values: &[&str], make: impl FnOnce(&[&str]) -> T) -> Arc<T> {
    let handles = Arc::new(make(values));
    let owned: Box<[Box<str>]> = values.iter().map(|value| Box::from(*value)).collect();
    known.entry(hash_of(values)).or_default().push((owned, Arc::clone(&handles)));
    handles
}

fn hash_of(values: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_values_get_the_same_handles() {
        let handles: Handles<u32> = Handles::new();
        let first = handles.get(&["a", "b"], |_| 1);
        assert!(Arc::ptr_eq(&first, &handles.get(&["a", "b"], |_| 2)));
        assert_eq!(*handles.get(&["ab", ""], |_| 3), 3);
    }

    #[test]
    fn past_the_bound_everything_new_is_other() {
        let handles: Handles<String> = Handles::new();
        for i in 0..LABEL_SETS_MAX {
            handles.get(&[&i.to_string()], |values| values[0].to_owned());
        }
        assert_eq!(*handles.get(&["one too many"], |values| values[0].to_owned()), "other");
        assert_eq!(*handles.get(&["another"], |values| values[0].to_owned()), "other");
        assert_eq!(*handles.get(&["7"], |values| values[0].to_owned()), "7");
    }
}
