use futures_util::FutureExt;

use super::*;

fn event(n: u64) -> EngineEvent {
    EngineEvent::VideoDeleted(VideoId(n))
}

/// The ids of the videos in the next batch of a subscription; `None` if it missed entries.
fn taken(subscription: &mut Subscription) -> Option<Vec<u64>> {
    match subscription.next().now_or_never().flatten() {
        None => Some(Vec::new()),
        Some(Batch::Missed) => None,
        Some(Batch::Entries(entries)) => Some(
            entries
                .iter()
                .map(|entry| match &entry.event {
                    EngineEvent::VideoDeleted(id) => id.0,
                    other => panic!("{other:?}"),
                })
                .collect(),
        ),
    }
}

#[test]
fn all_subscriptions_get_all_that_happens_after_they_began() {
    let feed = Feed::new(7);
    let mut first = feed.subscribe(None);
    feed.publish(vec![event(1)], false);
    let mut second = feed.subscribe(None);
    feed.publish(vec![event(2), event(3)], false);
    assert_eq!(taken(&mut first), Some(vec![1, 2, 3]));
    assert_eq!(taken(&mut second), Some(vec![2, 3]));
    assert_eq!(taken(&mut first), Some(vec![]));
}

#[test]
fn a_client_that_reconnects_resumes_after_the_last_entry() {
    let feed = Feed::new(7);
    let mut page = feed.subscribe(None);
    let before_any = page.last_id();
    feed.publish(vec![event(1), event(2)], false);
    assert_eq!(taken(&mut page), Some(vec![1, 2]));
    let last = page.last_id();
    drop(page);
    feed.publish(vec![event(3)], false);
    assert_eq!(taken(&mut feed.subscribe(Some(&last))), Some(vec![3]));
    assert_eq!(taken(&mut feed.subscribe(Some(&before_any))), Some(vec![1, 2, 3]));
    let mut up_to_date = feed.subscribe(Some(&feed.subscribe(None).last_id()));
    assert_eq!(taken(&mut up_to_date), Some(vec![]));
}

#[test]
fn a_client_that_cannot_resume_is_told_once() {
    let (feed, other_start) = (Feed::new(7), Feed::new(8));
    let unknown = other_start.subscribe(None).last_id();
    for id in [unknown.as_str(), "", "7", "7-", "7-x", "x-1", "7-18446744073709551615", "7-99"] {
        let mut page = feed.subscribe(Some(id));
        assert_eq!(taken(&mut page), None, "{id}");
        assert_eq!(taken(&mut page), Some(vec![]));
        feed.publish(vec![event(1)], false);
        assert_eq!(taken(&mut page), Some(vec![1]));
    }
}

#[test]
fn a_slow_reader_misses_entries_and_memory_is_bounded() {
    let feed = Feed::new(7);
    let mut slow = feed.subscribe(None);
    for n in 0..KEPT as u64 + 1 {
        feed.publish(vec![event(n)], false);
    }
    assert_eq!(feed.state.lock().kept.len(), KEPT);
    assert_eq!(taken(&mut slow), None);
    feed.publish(vec![event(9)], false);
    assert_eq!(taken(&mut slow), Some(vec![9]));
    feed.publish(vec![event(10)], true);
    assert_eq!(taken(&mut slow), None, "others were lost before it");
}

#[test]
fn nothing_is_recorded_without_subscriptions() {
    let feed = Feed::new(7);
    feed.note(Written::Deleted(VideoId(1)));
    assert!(feed.state.lock().noted.events.is_empty());
    let page = feed.subscribe(None);
    let id = page.last_id();
    feed.note(Written::Deleted(VideoId(2)));
    feed.note(Written::Video(VideoId(3)));
    let noted = feed.wait().unwrap();
    assert_eq!((noted.events.len(), noted.videos.len(), noted.poll), (1, 1, true));
    drop(page);
    // As after the end of the time to linger.
    feed.state.lock().left = None;
    let waiting = std::thread::spawn({
        let feed = Arc::clone(&feed);
        move || feed.wait().is_none()
    });
    while feed.active.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    feed.note(Written::Deleted(VideoId(4)));
    assert!(feed.state.lock().noted.events.is_empty());
    assert_eq!(taken(&mut feed.subscribe(Some(&id))), None, "what happened meanwhile is not known");
    feed.close();
    assert!(waiting.join().unwrap());
}

#[test]
fn an_overflow_is_reported() {
    let feed = Feed::new(7);
    let _page = feed.subscribe(None);
    for n in 0..KEPT as u64 + 2 {
        feed.note(Written::Deleted(VideoId(n)));
    }
    let noted = feed.wait().unwrap();
    assert!(noted.overflown && noted.events.len() == 2);
}

#[test]
fn closing_the_feed_ends_all_subscriptions() {
    let feed = Feed::new(7);
    let mut page = feed.subscribe(None);
    let mut next = Box::pin(page.next());
    assert!(next.as_mut().now_or_never().is_none());
    feed.close();
    assert!(next.now_or_never().unwrap().is_none());
    assert!(feed.wait().is_none());
}

#[test]
fn a_text_is_made_once_for_each_view() {
    let entry = Entry { number: 0, event: event(1), texts: Mutex::default() };
    let mut made = 0;
    for view in ["a", "b", "a", "a"] {
        let text = entry.text(view, |_| {
            made += 1;
            Bytes::copy_from_slice(view.as_bytes())
        });
        assert_eq!(text, view);
    }
    assert_eq!(made, 2);
    for n in 0..2 * MAX_TEXTS {
        entry.text(&n.to_string(), |_| Bytes::new());
    }
    assert_eq!(entry.texts.lock().len(), MAX_TEXTS);
}
