use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn keys_sort_as_what_they_stand_for(a: i64, b: i64, m in "\\PC{0,8}|\0|a\0b", n in "\\PC{0,8}|\0|a") {
        prop_assert_eq!(time_key(a).cmp(&time_key(b)), a.cmp(&b));
        let (x, y) = (with_id(name_key(Some(&m)), VideoId(1)), with_id(name_key(Some(&n)), VideoId(1)));
        prop_assert_eq!(x.cmp(&y), m.cmp(&n));
        prop_assert!(with_id(name_key(None), VideoId(u64::MAX)) < x);
    }
}
