//! What goes into a batch, and who gives way in the cache: properties of the two pure choices.

use ecommerce_ml_serving::cache::room::{Resident, make_room};
use ecommerce_ml_text::scheduler::batch::fill;
use proptest::prelude::*;

fn take(lengths: &[usize], budget: usize) -> Vec<usize> {
    fill(0..lengths.len(), |&index| lengths[index], budget)
}

proptest! {
    #[test]
    fn a_batch_never_exceeds_its_budget(lengths in prop::collection::vec(1usize..600, 1..300), budget in 1usize..20_000) {
        let batch = take(&lengths, budget);
        let tokens: usize = batch.iter().map(|&index| lengths[index]).sum();
        prop_assert!(tokens <= budget || batch.len() == 1);
    }

    #[test]
    fn whoever_is_first_gets_on(lengths in prop::collection::vec(1usize..600, 1..300), budget in 0usize..20_000) {
        prop_assert_eq!(take(&lengths, budget)[0], 0);
    }

    #[test]
    fn everything_runs_in_the_end(lengths in prop::collection::vec(1usize..600, 1..300), budget in 1usize..5_000) {
        let mut left = lengths.clone();
        let mut ran = 0;
        while !left.is_empty() {
            let batch = take(&left, budget);
            ran += batch.len();
            let mut index = 0;
            left.retain(|_| { index += 1; !batch.contains(&(index - 1)) });
        }
        prop_assert_eq!(ran, lengths.len());
    }

    #[test]
    fn what_is_left_out_would_not_have_fitted(lengths in prop::collection::vec(1usize..600, 1..300), budget in 1usize..20_000) {
        let batch = take(&lengths, budget);
        let tokens: usize = batch.iter().map(|&index| lengths[index]).sum();
        let left_out = (0..lengths.len()).filter(|index| !batch.contains(index));
        prop_assert!(left_out.into_iter().all(|index| tokens + lengths[index] > budget));
    }

    #[test]
    fn room_is_made_without_touching_pinned_models(
        models in prop::collection::vec((1u64..100, any::<bool>(), any::<u64>()), 0..20),
        needed in 0u64..500,
        capacity in 0u64..500,
    ) {
        let residents: Vec<_> = models.iter().enumerate()
            .map(|(key, &(bytes, pinned, last_use))| Resident { key, bytes, pinned, last_use }).collect();
        let pinned: u64 = models.iter().filter(|model| model.1).map(|model| model.0).sum();
        match make_room(residents, needed, capacity) {
            Ok(dropped) => {
                let kept = |key: usize| !dropped.contains(&key);
                let used: u64 = models.iter().enumerate().filter(|(key, _)| kept(*key)).map(|(_, model)| model.0).sum();
                prop_assert!(used + needed <= capacity);
                prop_assert!(dropped.iter().all(|&key| !models[key].1));
                let newest = dropped.iter().map(|&key| models[key].2).max();
                let unpinned = models.iter().enumerate().filter(|(key, model)| kept(*key) && !model.1);
                prop_assert!(unpinned.into_iter().all(|(_, model)| Some(model.2) >= newest));
            }
            Err(_) => prop_assert!(pinned + needed > capacity),
        }
    }
}
