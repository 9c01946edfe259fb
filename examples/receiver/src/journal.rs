//! Journal of received posts: pictures and `posts.jsonl` in a folder, and counts of this run. A
//! post whose Idempotency-Key was stored before, by this run or an earlier one, is counted as a
//! duplicate and not stored again.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::post::Post;

pub(crate) struct Journal {
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    posts_file: File,
    posts: u64,
    duplicates: u64,
    by_type: BTreeMap<String, u64>,
    /// Keys of all stored posts, including earlier runs.
    keys: HashSet<String>,
}

impl Journal {
    /// Creates the folder if it is missing; keeps the lines of earlier runs.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut posts_file = File::options().create(true).read(true).append(true).open(dir.join("posts.jsonl"))?;
        let mut earlier = Vec::new();
        posts_file.read_to_end(&mut earlier)?;
        // A run that was killed may have left part of a line.
        if earlier.last().is_some_and(|b| *b != b'\n') {
            posts_file.write_all(b"\n")?;
        }
        let key = |line| serde_json::from_slice::<Value>(line).ok()?.get("key")?.as_str().map(str::to_owned);
        let keys = earlier.split(|b| *b == b'\n').filter_map(key).collect();
        let state = State { posts_file, posts: 0, duplicates: 0, by_type: BTreeMap::new(), keys };
        Ok(Self { dir: dir.to_path_buf(), state: Mutex::new(state) })
    }

    /// Stores a post's pictures and line, unless its key is known, and returns the line to print.
    pub(crate) fn keep(&self, post: Post) -> io::Result<String> {
        for picture in &post.pictures {
            let name = format!("{}.{}.{}", post.id, picture.part, picture.extension);
            fs::write(self.dir.join(name), &picture.content)?;
        }
        let (object_type, mut shown) = (post.object_type().to_owned(), post.line());
        let mut line = serde_json::Map::from_iter([("key".to_owned(), post.id.clone().into())]);
        line.extend(post.fields);

        let mut state = self.state.lock();
        state.posts += 1;
        if post.has_key && state.keys.contains(&post.id) {
            state.duplicates += 1;
            shown.push_str(" (again)");
            return Ok(shown);
        }
        state.posts_file.write_all(format!("{}\n", Value::Object(line)).as_bytes())?;
        *state.by_type.entry(object_type).or_default() += 1;
        if post.has_key {
            state.keys.insert(post.id);
        }
        Ok(shown)
    }

    pub(crate) fn summary(&self) -> Value {
        let state = self.state.lock();
        json!({"posts": state.posts, "duplicates": state.duplicates, "by_type": state.by_type})
    }
}
