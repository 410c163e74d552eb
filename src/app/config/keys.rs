//! The keys of a config file with their meanings: its JSON schema, and the file itself with a comment above each key. Both
//! are made of the doc comments of [`Config`] and of what it holds.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::Config;
use crate::error::{Error, Result};

/// The widest comment, in characters.
const WIDEST: usize = 100;

/// The JSON schema (draft 2020-12) of a config file, with each key's type, default and meaning.
///
/// TOML has no null: a key that may be left out is one that the schema does not require.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let generator = SchemaSettings::draft2020_12().into_generator();
        let mut schema = generator.into_root_schema_for::<Config>().to_value();
        simplify(&mut schema);
        schema
    });
    &SCHEMA
}

/// The meaning of a key, by its path as `callbacks.reduce_lr.factor`.
///
/// Panics without such a key: for paths that a program writes down.
pub fn meaning(path: &str) -> &'static str {
    let key = path.split('.').fold(schema(), |schema, key| &resolved(schema)["properties"][key]);
    key["description"].as_str().unwrap_or_else(|| panic!("no key {path} with a meaning"))
}

/// The config as a file that gives the same: every key with its meaning in a comment above it. Keys without a value are
/// comments, too.
///
/// # Errors
/// A path that is not UTF-8: TOML has no form for it.
pub fn annotated(config: &Config) -> Result<String> {
    let text = config.to_toml()?;
    let broken = |e: toml::de::Error| Error::Input(format!("the config cannot be read back: {}", e.message()));
    let values = DeTable::parse(&text).map_err(broken)?;
    let mut out = String::new();
    let source = Source { text: &text, table: toml::from_str(&text).map_err(broken)? };
    write_table(&mut out, &source, &mut Vec::new(), Some(values.get_ref()), schema());
    Ok(out)
}

/// A config as plain TOML, as text and read.
struct Source<'a> {
    text: &'a str,
    table: toml::Table,
}

impl Source<'_> {
    /// The tables of a value that has keys of its own, such as the layers of a network.
    fn written(&self, path: &[&str]) -> String {
        let value = path[1..].iter().fold(&self.table[path[0]], |value, key| &value[*key]);
        let nested =
            |value: toml::Value, key: &&str| toml::Value::Table([(key.to_string(), value)].into_iter().collect());
        let nested = path.iter().rev().fold(value.clone(), nested);
        toml::to_string(&nested).expect("it was TOML")
    }
}

/// Writes the keys of a table, those of its tables after its own. Without `values` all of it is a comment.
fn write_table(
    out: &mut String,
    source: &Source,
    path: &mut Vec<&'static str>,
    values: Option<&DeTable>,
    schema: &'static Value,
) {
    let keys = resolved(schema)["properties"].as_object().expect("a table has keys");
    let value = |key: &str| values.and_then(|values| values.get(key));
    let is_table = |key: &str, schema: &'static Value| match value(key) {
        Some(value) => matches!(value.get_ref(), DeValue::Table(_)),
        None => resolved(schema).get("properties").is_some(),
    };
    let (tables, own): (Vec<_>, Vec<_>) = keys.iter().partition(|(key, schema)| is_table(key, schema));
    for (key, schema) in own {
        comment(out, schema);
        match value(key) {
            Some(value) => *out += &format!("{key} = {}\n", &source.text[value.span()]),
            None => *out += &format!("# {key} = <{}>\n", resolved(schema)["type"].as_str().unwrap_or("value")),
        }
    }
    for (key, schema) in tables {
        path.push(key);
        comment(out, schema);
        let header = path.join(".");
        let inner = value(key).map(|value| match value.get_ref() {
            DeValue::Table(table) => table,
            _ => unreachable!("its value is a table"),
        });
        if resolved(schema).get("properties").is_none() {
            *out += &source.written(path);
        } else {
            *out += &if inner.is_some() { format!("[{header}]\n") } else { format!("# [{header}]\n") };
            write_table(out, source, path, inner, schema);
        }
        path.pop();
    }
}

/// Writes an empty line, and the meaning of a key with the values that it can have, if they are few.
fn comment(out: &mut String, schema: &'static Value) {
    let mut text = schema["description"].as_str().unwrap_or_default().to_string();
    let choices = choices(schema);
    if !choices.is_empty() {
        text += &format!(" One of {}.", choices.join(", "));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    let mut line = "#".to_string();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDEST {
            *out += &format!("{line}\n");
            line = "#".into();
        }
        line += &format!(" {word}");
    }
    *out += &format!("{line}\n");
}

/// The texts that a value can be; empty where it can be something else.
fn choices(schema: &'static Value) -> Vec<&'static str> {
    let schema = resolved(schema);
    let texts = |values: &'static Value| values.as_array().map(|values| values.iter().map(Value::as_str).collect());
    let listed: Option<Option<Vec<_>>> = texts(&schema["enum"]);
    let constants = schema["oneOf"].as_array().map(|all| all.iter().map(|one| one["const"].as_str()).collect());
    listed.or(constants).flatten().unwrap_or_default()
}

/// Schema that a reference leads to.
fn resolved(schema: &'static Value) -> &'static Value {
    match schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        Some(path) => self::schema().pointer(path).expect("references lead somewhere"),
        None => schema,
    }
}

/// Takes null out of the types, and the digits out of numbers that f32 adds to them.
fn simplify(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(simplify),
        Value::Object(object) => {
            simplify_object(object);
            object.values_mut().for_each(simplify);
        }
        _ => {}
    }
}

fn simplify_object(object: &mut Map<String, Value>) {
    let is_null = |value: &Value| value == "null" || value["type"] == "null";
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|one| !is_null(one));
        if let [only] = &types[..] {
            object["type"] = only.clone();
        }
    }
    if let Some(Value::Array(any)) = object.get_mut("anyOf") {
        any.retain(|one| !is_null(one));
        if let [Value::Object(only)] = &any[..] {
            let only = only.clone();
            object.remove("anyOf");
            object.extend(only);
        }
    }
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    if object.get("format").is_some_and(|format| format == "float")
        && let Some(default) = object.get_mut("default")
        && let Some(number) = default.as_f64()
    {
        let shortest: f64 = (number as f32).to_string().parse().expect("a number");
        *default = shortest.into();
    }
}
