//! Objects of a video that match a filter, a page at a time.

use ocellus_core::{ObjectId, ObjectRecord, Result, VideoId};
use ocellus_store::{Archive, ObjectQuery, ObjectSearch, Page};

use super::filter::ObjectFilter;

/// An object with the id of its cluster.
pub(super) type Clustered = (ObjectRecord, Option<ObjectId>);

/// A page of objects, each with the id of its cluster. Without a filter, and in ascending order,
/// the index alone finds them.
pub(super) fn page_of(
    archive: &Archive,
    video: VideoId,
    search: ObjectSearch,
    filter: &ObjectFilter,
) -> Result<Page<Clustered>> {
    let Page { items, next, prev } = if filter.is_none() && !search.descending {
        let ObjectSearch { types, limit, cursor, .. } = search;
        archive.objects(video, &ObjectQuery { types, limit, cursor })?
    } else {
        archive.find_objects(&search, |object| filter.holds(object))?
    };
    let with_cluster = |object: ObjectRecord| archive.cluster_of(&object.id).map(|cluster| (object, cluster));
    Ok(Page { items: items.into_iter().map(with_cluster).collect::<Result<_, _>>()?, next, prev })
}
