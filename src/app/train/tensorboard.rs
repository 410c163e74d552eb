//! TensorBoard's event files: the numbers of each epoch, as its `SCALARS` page shows them.
//!
//! A file is a sequence of records (TFRecord): the length, its checksum, a protobuf message, its checksum. It grows by one
//! flush an epoch and is the only file that is not replaced as a whole, since TensorBoard follows it while it grows; it
//! passes over a last record that was cut short.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::history::EpochRecord;
use crate::error::{Error, Result};

/// tensorflow/core/util/event.proto, without what is not written here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Marker that makes TensorBoard drop earlier files' values of this step and later ones.
const SESSION_START: i32 = 1;

/// An event file under way.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a file in `folder`, which is made if need be, after `epochs` finished ones. Files of
    /// earlier runs stay; what they say of later epochs does not count any more.
    pub fn create(folder: &Path, epochs: usize) -> Result<EventFile> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        // TensorBoard reads the files of a folder in the order of their names.
        let (now, process) = (now(), std::process::id());
        let name =
            |number: u32| folder.join(format!("events.out.tfevents.{:.0}.ocellus.{process}.{number}", now.floor()));
        let path = (0..).map(name).find(|path| !path.exists()).expect("numbers go on");
        let file = File::create_new(&path).map_err(Error::io(&path))?;
        let mut events = EventFile { path, file };
        let version = Event { wall_time: now, file_version: Some("brain.Event:2".into()), ..Event::default() };
        events.append(&version)?;
        let session_log = Some(SessionLog { status: SESSION_START });
        events.append(&Event { wall_time: now, step: epochs as i64 + 1, session_log, ..Event::default() })?;
        Ok(events)
    }

    /// The numbers of an epoch, under the names that they have in the history; the step is the epoch, counted from 1.
    pub fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        let EpochRecord { loss, accuracy, val_loss, val_accuracy, lr, .. } = *record;
        let scalars = [
            ("loss", loss),
            ("accuracy", accuracy),
            ("val_loss", val_loss),
            ("val_accuracy", val_accuracy),
            ("lr", f64::from(lr)),
        ];
        let value = |(tag, number): (&str, f64)| Value { tag: tag.into(), simple_value: Some(number as f32) };
        let summary = Some(Summary { value: scalars.into_iter().map(value).collect() });
        self.append(&Event { wall_time: now(), step: record.epoch as i64, summary, ..Event::default() })
    }

    fn append(&mut self, event: &Event) -> Result<()> {
        self.file.write_all(&framed(&event.encode_to_vec())).map_err(Error::io(&self.path))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A message as a record.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), message, &checksum(message)].concat()
}

/// CRC-32C, turned and shifted by a constant, so that the checksum of data that hold checksums is a good one too.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a file as TensorBoard does: its messages, each with its checksums verified.
    fn read(bytes: &[u8]) -> Vec<Event> {
        let (mut events, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], checksum(&rest[..8]));
            assert_eq!(rest[12 + length..16 + length], checksum(&rest[12..12 + length]));
            events.push(Event::decode(&rest[12..12 + length]).unwrap());
            rest = &rest[16 + length..];
        }
        events
    }

    /// The bytes that TensorFlow 2.15's `tf.io.TFRecordWriter` writes of b"ocellus".
    #[test]
    fn records_are_framed_as_tensorflow_frames_them() {
        let theirs = "0700000000000000bbd79f116f63656c6c7573ea14b155";
        let hex: String = framed(b"ocellus").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, theirs);
    }

    #[test]
    fn each_epoch_is_one_record() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(&folder.path().join("logs"), 2).unwrap();
        let record =
            EpochRecord { epoch: 3, loss: 0.5, accuracy: 0.25, lr: 1e-3, val_loss: f64::NAN, ..EpochRecord::default() };
        events.epoch(&record).unwrap();
        let [version, start, epoch] = &read(&std::fs::read(&events.path).unwrap())[..] else { panic!("three records") };
        assert_eq!(version.file_version.as_deref(), Some("brain.Event:2"));
        assert_eq!((start.step, start.session_log.as_ref().unwrap().status), (3, SESSION_START));
        let values = &epoch.summary.as_ref().unwrap().value;
        let tags: Vec<&str> = values.iter().map(|value| value.tag.as_str()).collect();
        assert_eq!((epoch.step, &tags[..]), (3, &["loss", "accuracy", "val_loss", "val_accuracy", "lr"][..]));
        assert_eq!([0, 1, 4].map(|index| values[index].simple_value), [Some(0.5), Some(0.25), Some(1e-3)]);
        assert!(values[2].simple_value.unwrap().is_nan());
    }

    #[test]
    fn earlier_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [0, 1].map(|epochs| EventFile::create(folder.path(), epochs).unwrap().path);
        assert!(first != second && first.is_file() && second.is_file());
    }
}
