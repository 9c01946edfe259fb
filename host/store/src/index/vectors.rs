//! Vector store: the embeddings of objects, stored contiguously in files that a search scans.
//!
//! A part of the index. There is one file for each [`Space`]. A record is the object's video (u64),
//! track (u64), job number and shot (u32 each), then its vector (f32 each), all little-endian.
//! There are no free slots: the last record is moved into the place of a removed one. The tree
//! `vectors` has the place of each object's record.
//!
//! Guarantees: a search is exact and deterministic. It holds a block of one file in memory for each
//! thread, whatever the archive's size. Not durable before [`VectorStore::flush`].
//!
//! A linear scan, not a nearest-neighbour graph: scanning a million vectors of 128 dimensions takes
//! about as long as detecting the face in the query picture, while such graphs took one and a half
//! milliseconds per vector to build, and missed some neighbours.

use std::{
    collections::{BinaryHeap, HashMap},
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread,
};

use ocellus_core::{JobId, ObjectId, ObjectType, TrackId, VideoId};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::tree::{Entry, Tree};
use crate::{
    error::{At, Result, StoreError, unreadable_entry},
    objects::Embedding,
};

/// Bytes of a record before its vector.
const HEAD: usize = 24;
/// Bytes read at once.
const BLOCK: usize = 1 << 20;
/// Number of records for which a further thread is worth starting.
const RECORDS_PER_THREAD: u64 = 20_000;

/// Search for the objects whose embeddings are nearest to a given one.
#[derive(Clone, Debug)]
pub struct SimilarityQuery<'a> {
    /// Only objects of this type.
    pub object_type: &'a ObjectType,
    /// Digest or name of the embedder of `vector`: only vectors of the same embedder are compared.
    pub embedder: &'a str,
    /// The embedding to search for; only vectors of the same length are compared.
    pub vector: &'a [f32],
    /// Only objects of this video.
    pub video: Option<VideoId>,
    /// The greatest Euclidean distance of a result.
    pub max_distance: f32,
    /// The greatest number of results.
    pub limit: usize,
}

/// Embeddings that can be compared with each other, in one file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Space {
    object_type: ObjectType,
    embedder: String,
    dimensions: usize,
}

impl Space {
    fn file_name(&self) -> String {
        let plain =
            |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") };
        format!("{}-{}-{}", self.object_type, self.dimensions, self.embedder.bytes().map(plain).collect::<String>())
    }

    fn record_len(&self) -> usize {
        HEAD + self.dimensions * 4
    }
}

/// Place of an object's record.
#[derive(Serialize, Deserialize)]
struct Place {
    embedder: String,
    dimensions: usize,
    /// Index of the record in the file.
    slot: u64,
}

struct VectorFile {
    path: PathBuf,
    file: File,
    record_len: u64,
    records: u64,
}

pub(super) struct VectorStore {
    folder: PathBuf,
    places: Tree,
    files: RwLock<HashMap<Space, VectorFile>>,
}

impl VectorStore {
    pub(super) fn new(folder: &Path, places: Tree) -> Self {
        Self { folder: folder.to_path_buf(), places, files: RwLock::default() }
    }

    /// Bytes that an embedding takes in its file.
    pub(super) fn bytes(embedding: &Embedding) -> u64 {
        (HEAD + embedding.vector.len() * 4) as u64
    }

    /// Adds an embedding, in place of an earlier one of the same object.
    pub(super) fn put(&self, embedding: &Embedding) -> Result<()> {
        let Embedding { object, embedder, vector, .. } = embedding;
        let mut files = self.files.write();
        if let Some(place) = self.place(object)? {
            self.remove(&mut files, object, place)?;
        }
        let space =
            Space { object_type: object.object_type.clone(), embedder: embedder.clone(), dimensions: vector.len() };
        let mut record = Vec::with_capacity(space.record_len());
        record.extend(object.job.video.0.to_le_bytes());
        record.extend(object.track.0.to_le_bytes());
        record.extend(object.job.number.to_le_bytes());
        record.extend(object.shot.to_le_bytes());
        record.extend(vector.iter().flat_map(|v| v.to_le_bytes()));
        let file = self.file(&mut files, &space)?;
        let slot = file.records;
        file.write(slot, &record)?;
        file.records += 1;
        self.set_place(object, &Place { embedder: space.embedder, dimensions: space.dimensions, slot })
    }

    /// Removes the embeddings of all objects of a video.
    pub(super) fn clear(&self, video: VideoId) -> Result<()> {
        let mut files = self.files.write();
        for item in self.places.with_prefix(format!("{video}-").as_bytes()).keys() {
            let key = item?;
            let object: ObjectId =
                std::str::from_utf8(&key).ok().and_then(|text| text.parse().ok()).ok_or_else(unreadable_entry)?;
            // Read again: an earlier removal may have moved it.
            if let Some(place) = self.place(&object)? {
                self.remove(&mut files, &object, place)?;
            }
        }
        Ok(())
    }

    fn remove(&self, files: &mut HashMap<Space, VectorFile>, object: &ObjectId, place: Place) -> Result<()> {
        let Place { embedder, dimensions, slot } = place;
        let space = Space { object_type: object.object_type.clone(), embedder, dimensions };
        let file = self.file(files, &space)?;
        let last = file.records.checked_sub(1).ok_or_else(unreadable_entry)?;
        if slot != last {
            let mut record = vec![0; space.record_len()];
            file.read(last, &mut record)?;
            file.write(slot, &record)?;
            let moved = object_of(&record, &space.object_type).ok_or_else(unreadable_entry)?;
            self.set_place(&moved, &Place { embedder: space.embedder.clone(), dimensions, slot })?;
        }
        file.file.set_len(last * file.record_len).map_err(|e| unwritable(&file.path, &e))?;
        file.records = last;
        self.places.remove(object.to_string())?;
        Ok(())
    }

    /// The embedding of an object, and its embedder.
    pub(super) fn get(&self, object: &ObjectId) -> Result<Option<(String, Vec<f32>)>> {
        // Locked to the end, so that no record is moved meanwhile.
        let mut files = self.files.write();
        let Some(Place { embedder, dimensions, slot }) = self.place(object)? else { return Ok(None) };
        let space = Space { object_type: object.object_type.clone(), embedder, dimensions };
        let mut record = vec![0; space.record_len()];
        self.file(&mut files, &space)?.read(slot, &mut record)?;
        let (_, vector) = record.split_at_checked(HEAD).ok_or_else(unreadable_entry)?;
        let (numbers, _) = vector.as_chunks::<4>();
        Ok(Some((space.embedder, numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())))
    }

    fn place(&self, object: &ObjectId) -> Result<Option<Place>> {
        self.places
            .get(object.to_string())?
            .map(|v| postcard::from_bytes(&v).map_err(|_| unreadable_entry()))
            .transpose()
    }

    fn set_place(&self, object: &ObjectId, place: &Place) -> Result<()> {
        self.places.insert(object.to_string(), &postcard::to_stdvec(place).map_err(|_| unreadable_entry())?)?;
        Ok(())
    }

    fn file<'a>(&self, files: &'a mut HashMap<Space, VectorFile>, space: &Space) -> Result<&'a mut VectorFile> {
        if !files.contains_key(space) {
            fs::create_dir_all(&self.folder).map_err(|e| unwritable(&self.folder, &e))?;
            files.insert(space.clone(), VectorFile::open(self.folder.join(space.file_name()), space, true)?);
        }
        files.get_mut(space).ok_or_else(unreadable_entry)
    }

    /// All embeddings, keyed by object; a value is the embedder's name followed by the record.
    pub(super) fn entries(&self) -> impl Iterator<Item = Result<Entry>> {
        self.places.all().map(|item| {
            let (key, value) = item?;
            let object: ObjectId =
                std::str::from_utf8(&key).ok().and_then(|text| text.parse().ok()).ok_or_else(unreadable_entry)?;
            let Place { embedder, dimensions, slot } = postcard::from_bytes(&value).map_err(|_| unreadable_entry())?;
            let space = Space { object_type: object.object_type, embedder, dimensions };
            let mut record = vec![0; space.record_len()];
            self.file(&mut self.files.write(), &space)?.read(slot, &mut record)?;
            Ok((key, [space.embedder.as_bytes(), &record].concat()))
        })
    }

    /// The objects most similar to the query, nearest first, with their distances. An embedding is
    /// stored before its object: those whose object does not yet exist, according to `exists`, are
    /// left out.
    pub(super) fn nearest(
        &self,
        query: &SimilarityQuery<'_>,
        exists: impl Fn(&ObjectId) -> Result<bool> + Sync,
    ) -> Result<Vec<(ObjectId, f32)>> {
        let space = Space {
            object_type: query.object_type.clone(),
            embedder: query.embedder.to_owned(),
            dimensions: query.vector.len(),
        };
        let path = self.folder.join(space.file_name());
        if !self.files.read().contains_key(&space) {
            if !path.exists() {
                return Ok(Vec::new());
            }
            self.file(&mut self.files.write(), &space)?;
        }
        // Locked to the end, so that no record is moved meanwhile.
        let files = self.files.read();
        let records = files.get(&space).map_or(0, |file| file.records);
        let threads = thread::available_parallelism()
            .map_or(1, |n| n.get() as u64)
            .min(records.div_ceil(RECORDS_PER_THREAD))
            .max(1);
        let scan = |thread: u64| {
            let mut file = VectorFile::open(path.clone(), &space, false)?;
            nearest_of(&mut file, &space, records * thread / threads..records * (thread + 1) / threads, query, &exists)
        };
        let parts: Vec<Result<Vec<Found>>> = thread::scope(|scope| {
            let scan = &scan;
            let others: Vec<_> = (1..threads).map(|n| scope.spawn(move || scan(n))).collect();
            let mut parts = vec![scan(0)];
            parts.extend(others.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(unreadable_entry()))));
            parts
        });
        let mut found = parts.into_iter().collect::<Result<Vec<_>>>()?.concat();
        found.sort();
        found.truncate(query.limit);
        Ok(found.into_iter().map(|f| (f.object, f.squared.sqrt())).collect())
    }

    /// Makes all writes durable.
    pub(super) fn flush(&self) -> Result<()> {
        self.files.read().values().try_for_each(|file| file.file.sync_all().map_err(|e| unwritable(&file.path, &e)))
    }
}

impl VectorFile {
    fn open(path: PathBuf, space: &Space, write: bool) -> Result<Self> {
        let file = File::options().read(true).write(write).create(write).truncate(false).open(&path).at(&path)?;
        let len = file.metadata().at(&path)?.len();
        let record_len = space.record_len() as u64;
        Ok(Self { records: len / record_len, record_len, path, file })
    }

    /// Reads records from `slot` on, as many as fit into `records`.
    fn read(&mut self, slot: u64, records: &mut [u8]) -> Result<()> {
        self.seek(slot)?;
        self.file.read_exact(records).at(&self.path)
    }

    fn write(&mut self, slot: u64, record: &[u8]) -> Result<()> {
        self.seek(slot)?;
        self.file.write_all(record).map_err(|e| unwritable(&self.path, &e))
    }

    fn seek(&mut self, slot: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(slot * self.record_len)).at(&self.path)?;
        Ok(())
    }
}

/// A write error as an error of the index, which then fails over to memory.
fn unwritable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Index(sled::Error::Io(io::Error::new(error.kind(), format!("{}: {error}", path.display()))))
}

/// Ordered by distance, then by object.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    squared: f32,
    object: ObjectId,
}

impl Eq for Found {}

impl Ord for Found {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.squared.total_cmp(&other.squared).then_with(|| self.object.cmp(&other.object))
    }
}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn nearest_of(
    file: &mut VectorFile,
    space: &Space,
    slots: std::ops::Range<u64>,
    query: &SimilarityQuery<'_>,
    exists: &impl Fn(&ObjectId) -> Result<bool>,
) -> Result<Vec<Found>> {
    let record_len = space.record_len();
    let at_once = (BLOCK / record_len).max(1) as u64;
    let mut block = Vec::new();
    // The farthest result is on top.
    let mut found = BinaryHeap::<Found>::new();
    let mut reach = query.max_distance * query.max_distance;
    let mut slot = slots.start;
    while slot < slots.end && query.limit > 0 {
        let count = at_once.min(slots.end - slot);
        block.resize(count as usize * record_len, 0);
        file.read(slot, &mut block)?;
        slot += count;
        for record in block.chunks_exact(record_len) {
            let (head, vector) = record.split_at(HEAD);
            let squared = squared_distance(vector, query.vector);
            // At the same distance as the farthest result, an object may still sort before it, by
            // its id.
            if squared > reach {
                continue;
            }
            let object = object_of(head, &space.object_type).ok_or_else(unreadable_entry)?;
            if query.video.is_some_and(|video| video != object.job.video) || !exists(&object)? {
                continue;
            }
            found.push(Found { squared, object });
            if found.len() > query.limit {
                found.pop();
            }
            if found.len() == query.limit {
                reach = found.peek().map_or(reach, |f| f.squared);
            }
        }
    }
    Ok(found.into_vec())
}

fn object_of(record: &[u8], object_type: &ObjectType) -> Option<ObjectId> {
    let (video, rest) = record.split_first_chunk()?;
    let (track, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (shot, _) = rest.split_first_chunk()?;
    Some(ObjectId {
        job: JobId { video: VideoId(u64::from_le_bytes(*video)), number: u32::from_le_bytes(*number) },
        object_type: object_type.clone(),
        track: TrackId(u64::from_le_bytes(*track)),
        shot: u32::from_le_bytes(*shot),
    })
}

/// Squared Euclidean distance of `ours` from a vector of the same length in the file format.
/// Sixteen partial sums, so that the compiler can use SIMD registers.
fn squared_distance(bytes: &[u8], ours: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (groups, rest) = ours.as_chunks::<LANES>();
    let (theirs, _) = bytes.as_chunks::<4>();
    let (their_groups, their_rest) = theirs.as_chunks::<LANES>();
    let square = |theirs: &[u8; 4], ours: &f32| {
        let difference = f32::from_le_bytes(*theirs) - ours;
        difference * difference
    };
    let mut sums = [0.0_f32; LANES];
    for (theirs, ours) in their_groups.iter().zip(groups) {
        for (sum, (theirs, ours)) in sums.iter_mut().zip(theirs.iter().zip(ours)) {
            *sum += square(theirs, ours);
        }
    }
    sums.iter().sum::<f32>() + their_rest.iter().zip(rest).map(|(theirs, ours)| square(theirs, ours)).sum::<f32>()
}

#[cfg(test)]
mod tests;
