//! Validation of job settings: the JSON schema, and rules that a schema cannot express.

use ocellus_core::{Error, ObjectType, Result, SettingsSchema, StreamSettings};
use ocellus_detect::AttributeClassifiers;
use ocellus_runtime::{Kind, Plugins, Role};

/// The schema of the settings of jobs, for these object types and plugins. `has_liveness`: whether
/// a liveness network is installed.
///
/// # Errors
/// `Internal` where the schema as a whole does not compile.
pub fn settings_schema(types: &[ObjectType], has_liveness: bool, plugins: &Plugins) -> Result<SettingsSchema> {
    let serving = plugins.list().into_iter().filter(|p| p.role == Role::Active);
    let schemas: Vec<_> = serving.filter_map(|p| Some((p.name?, p.schema?))).collect();
    let schema = SettingsSchema::new(types, &plugins.names(Kind::Tracker), &plugins.names(Kind::Filter))?;
    let schema = schema.with_liveness(has_liveness);
    Ok(schema.with_routers(&plugins.names(Kind::Router))?.with_plugins(&schemas)?.checked_by(check_settings))
}

/// Refuses FFmpeg options and formats that are not allowed, before anything is stored.
fn check_settings(settings: &StreamSettings) -> Result<()> {
    ffmpeg_options(settings)?;
    let format = &settings.ffmpeg_format;
    if format.is_empty() {
        return Ok(());
    }
    ocellus_media::check_format(format).map_err(|e| Error::bad_param("stream_settings.ffmpeg_format", e.to_string()))
}

/// Keys and values of `ffmpeg_params`.
pub(crate) fn ffmpeg_options(settings: &StreamSettings) -> Result<Vec<(String, String)>> {
    ocellus_media::parse_options(&settings.ffmpeg_params)
        .map_err(|e| Error::bad_param(format!("stream_settings.ffmpeg_params.{}", e.index), format!("{e}.")))
}

/// Refuses settings that a job cannot run with, where `installed` are the types with a detector.
/// Waits for classifiers that are still being loaded, if the settings need one.
pub(crate) fn check_job(
    settings: &StreamSettings,
    installed: &[ObjectType],
    classifiers: &AttributeClassifiers,
) -> Result<()> {
    if let Some((missing, _)) = settings.active().find(|(t, _)| !installed.contains(t)) {
        return Err(Error::bad_param(
            format!("stream_settings.detectors.{missing}"),
            format!("No detector for {missing} is installed."),
        ));
    }
    if settings.enable_liveness && !classifiers.for_type(&ObjectType::face()).any(|c| c.is_liveness()) {
        return Err(SettingsSchema::no_liveness());
    }
    if let Some((t, _)) = settings.active().find(|(_, d)| d.track_send_history && d.track_max_duration_frames == 0) {
        let path = format!("stream_settings.detectors.{t}.track_send_history");
        return Err(Error::bad_param(
            path,
            format!("track_send_history of {t} needs track_max_duration_frames above 0."),
        ));
    }
    Ok(())
}
