//! Copy of the log in memory: a layer of `tracing` that adds each event to the [`RecentLog`], which
//! `GET /log/` shows.
//!
//! Owns the text of a line: the sentence, then the fields of the event and of the request that it
//! belongs to. It gets the events that the log's filter lets through, and no others.

use std::{
    error::Error,
    fmt::{Debug, Write},
};

use ocellus_api::{LogLevel, RecentLog};
use ocellus_core::{Clock, SystemClock};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// The layer.
pub(crate) struct CopyToMemory(pub(crate) RecentLog);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for CopyToMemory {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut text = Text::default();
            attributes.record(&mut text);
            span.extensions_mut().insert(text);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(Text { fields, .. }) = span.extensions().get() {
                text.fields.push_str(fields);
            }
        }
        let Text { message, fields } = text;
        self.0.add(SystemClock.now(), level(*event.metadata().level()), (message + &fields).trim_start().to_owned());
    }
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

/// What was recorded of an event or a span.
#[derive(Default)]
struct Text {
    message: String,
    /// Each as ` name=value`.
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing into a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let _ = write!(self.fields, " {}={value}", field.name());
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(self.fields, ": {error}");
            cause = error.source();
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{EnvFilter, prelude::*};

    use super::*;

    #[test]
    fn lines_have_their_fields_and_those_of_their_request_and_are_filtered() {
        let recent = RecentLog::default();
        let filter = EnvFilter::new("info");
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::sink)
            .finish()
            .with(CopyToMemory(recent.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("request", request_id = %"7-1").in_scope(|| {
                let error: &dyn Error = &std::io::Error::other("no room");
                tracing::warn!(error, video = 3, "the job {} failed", "4");
                tracing::debug!("left out");
            });
            tracing::info!("alone");
        });
        let lines = serde_json::to_value(recent.after(0, LogLevel::Trace)).unwrap();
        assert_eq!(
            (&lines[0]["level"], &lines[0]["text"]),
            (&"warn".into(), &"the job 4 failed error=no room video=3 request_id=7-1".into())
        );
        assert_eq!((&lines[1]["level"], &lines[1]["text"], &lines[2]), (&"info".into(), &"alone".into(), &().into()));
    }
}
