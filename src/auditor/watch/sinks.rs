//! Where alerts go: standard output and a webhook here, syslog in [`super::syslog`]. A sink says that it has taken an alert
//! only when the receiver has said so, as far as its protocol lets it.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use zeroize::Zeroizing;

use super::alert::Alert;
use crate::base::limits::SINK_SECONDS;
use crate::client::trust;

/// A receiver of alerts.
pub trait Sink: Send {
    /// What people call it, without secrets: `webhook alerts.example:443`.
    fn name(&self) -> String;

    /// Hands over alerts in order. Those the receiver did not take are handed over again later.
    fn send(&mut self, alerts: &[&Alert]) -> Result<(), SendError>;
}

/// A sink did not take everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct SendError {
    /// How many of the alerts, from the first on, it has taken for certain.
    pub taken: usize,
    /// What happened and what to do.
    pub why: String,
    /// When the receiver asked to be asked again.
    pub after: Option<Duration>,
}

impl SendError {
    /// Nothing is known to have been taken.
    pub(super) fn nothing_taken(why: impl std::fmt::Display) -> SendError {
        SendError { taken: 0, why: why.to_string(), after: None }
    }
}

/// How lines on an output look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// One line an alert, such as on standard output. Taken when written and flushed.
pub struct LineSink<W> {
    out: W,
    format: LineFormat,
}

impl<W: Write + Send> LineSink<W> {
    /// Writes to `out`.
    pub fn new(out: W, format: LineFormat) -> LineSink<W> {
        LineSink { out, format }
    }
}

impl<W: Write + Send> Sink for LineSink<W> {
    fn name(&self) -> String {
        "standard output".into()
    }

    fn send(&mut self, alerts: &[&Alert]) -> Result<(), SendError> {
        for (taken, alert) in alerts.iter().enumerate() {
            let line = match self.format {
                LineFormat::Text => alert.line(),
                LineFormat::Json => alert.json().to_string(),
            };
            let written = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
            written.map_err(|e| SendError { taken, why: e.to_string(), after: None })?;
        }
        Ok(())
    }
}

/// Where a webhook is and how to get in.
pub struct WebhookOptions<'a> {
    /// `http://…` or `https://…`
    pub url: &'a str,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<&'a str>,
    /// PEM file of the certificate to trust; without it those the operating system trusts.
    pub ca: Option<&'a Path>,
}

/// A webhook that is sent each alert as a CloudEvent, structured mode, by POST. Taken when it answers 2xx.
pub struct Webhook {
    agent: Agent,
    url: Zeroizing<String>,
    place: String,
    authorization: Option<Zeroizing<String>>,
}

/// A sink cannot be used as it was named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SinkConfigError(pub String);

impl Webhook {
    /// A webhook; nothing is sent yet.
    pub fn new(options: &WebhookOptions<'_>) -> Result<Webhook, SinkConfigError> {
        let bad = |why: String| SinkConfigError(why);
        let uri: ureq::http::Uri = options
            .url
            .parse()
            .map_err(|_| bad("--webhook is no address; write https://HOST/PATH".to_owned()))?;
        let (Some("http" | "https"), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(bad("--webhook must begin with http:// or https:// and name a host".to_owned()));
        };
        let place = uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let tls = trust(options.ca).map_err(|e| bad(e.to_string()))?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(SINK_SECONDS)))
            // Following one could turn the POST into a GET, or take the alerts elsewhere.
            .max_redirects(0)
            .tls_config(tls)
            .build()
            .new_agent();
        let authorization = options.token.map(|t| Zeroizing::new(format!("Bearer {}", t.trim())));
        Ok(Webhook { agent, url: Zeroizing::new(options.url.to_owned()), place, authorization })
    }

    fn post(&self, alert: &Alert) -> Result<(), (String, Option<Duration>)> {
        let mut request =
            self.agent.post(&*self.url).header("content-type", "application/cloudevents+json; charset=utf-8");
        if let Some(value) = &self.authorization {
            request = request.header("authorization", value.as_str());
        }
        let response = request.send(alert.cloud_event().to_string()).map_err(|e| (e.to_string(), None))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let header = response.headers().get("retry-after").and_then(|v| v.to_str().ok());
        let after = header.and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
        let hint = match status.as_u16() {
            300..=399 => "; give the address it leads to",
            401 | 403 => "; check --webhook-token",
            404 | 405 | 410 => "; check the address",
            413 | 415 | 400 | 422 => "; it must accept application/cloudevents+json",
            _ => "",
        };
        Err((format!("it answered with status {status}{hint}"), after))
    }
}

impl Sink for Webhook {
    fn name(&self) -> String {
        format!("webhook {}", self.place)
    }

    fn send(&mut self, alerts: &[&Alert]) -> Result<(), SendError> {
        for (taken, alert) in alerts.iter().enumerate() {
            self.post(alert).map_err(|(why, after)| SendError { taken, why, after })?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "sinks_tests.rs"]
mod tests;
