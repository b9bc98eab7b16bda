//! Reads the fields of a JSON object and collects everything that is wrong with them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use bailey_core::failure::{Failure, Violation};
use bailey_core::sensitive::SecretText;

use crate::json::Json;

/// Most characters of a label.
pub const LABEL: usize = 255;

/// Most complaints about one body; they are read by people, and whoever sends thousands is none.
const COMPLAINTS: usize = 20;

/// The fields of one object that are still to be read, and what was wrong with the others.
pub struct Fields {
    schema: &'static str,
    fields: BTreeMap<String, Json>,
    violations: Vec<Violation>,
}

impl Fields {
    /// Opens a body that must be an object.
    ///
    /// # Errors
    /// `Invalid` when it is something else.
    pub fn open(schema: &'static str, json: Json) -> Result<Self, Failure> {
        match json {
            Json::Object(fields) => Ok(Self { schema, fields, violations: Vec::new() }),
            _ => Err(Failure::schema(schema, vec![violation(None, "must be an object")])),
        }
    }

    /// Whether a field is there and unread, be it null.
    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Notes something wrong. Of several complaints about one field the first stands, of many
    /// complaints the first few do.
    pub fn complain(&mut self, name: &str, reason: impl Into<String>) {
        if self.violations.len() < COMPLAINTS
            && self.violations.iter().all(|known| known.property.as_deref() != Some(name))
        {
            self.violations.push(violation(Some(name), reason));
        }
    }

    /// A field as it is.
    pub fn take(&mut self, name: &str) -> Option<Json> {
        self.fields.remove(name)
    }

    /// A string of any length.
    pub fn secret_text(&mut self, name: &str) -> Option<SecretText> {
        match self.take(name)? {
            Json::Text(text) => Some(text),
            _ => {
                self.complain(name, "must be a string");
                None
            }
        }
    }

    /// A string of at most [`LABEL`] characters.
    pub fn label(&mut self, name: &str) -> Option<String> {
        let text = self.secret_text(name)?;
        if text.expose().chars().count() > LABEL {
            self.complain(name, format!("must have at most {LABEL} characters"));
            return None;
        }
        Some(text.expose().to_owned())
    }

    /// The same, or null.
    pub fn nullable_label(&mut self, name: &str) -> Option<String> {
        match self.fields.get(name) {
            Some(Json::Null) => {
                self.fields.remove(name);
                None
            }
            _ => self.label(name),
        }
    }

    /// A label that must be there.
    pub fn required_label(&mut self, name: &str) -> Option<String> {
        if !self.has(name) {
            self.complain(name, "is required");
        }
        self.label(name)
    }

    /// True or false.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Json::Bool(truth) => Some(truth),
            _ => {
                self.complain(name, "must be true or false");
                None
            }
        }
    }

    /// One of some names.
    pub fn choice<T: FromStr>(&mut self, name: &str, names: &[&str]) -> Option<T> {
        let chosen = self.label(name)?.parse().ok();
        if chosen.is_none() {
            self.complain(name, format!("must be one of {}", names.join(", ")));
        }
        chosen
    }

    /// One of some names that must be there.
    pub fn required_choice<T: FromStr>(&mut self, name: &str, names: &[&str]) -> Option<T> {
        if !self.has(name) {
            self.complain(name, "is required");
        }
        self.choice(name, names)
    }

    /// An integer in a range; `256.0` is one.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<i32>) -> Option<i32> {
        let given = self.take(name)?;
        self.integer_of(name, &given, range)
    }

    /// The same of a value that was taken.
    pub fn integer_of(&mut self, name: &str, given: &Json, range: RangeInclusive<i32>) -> Option<i32> {
        let number = match given {
            Json::Number { value, .. } if value.fract() == 0.0 => *value,
            _ => {
                self.complain(name, "must be an integer");
                return None;
            }
        };
        if number < f64::from(*range.start()) || number > f64::from(*range.end()) {
            self.complain(name, format!("must be {} to {}", range.start(), range.end()));
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is an integer within a range of i32")]
        Some(number as i32)
    }

    /// Reads an object within this one; complaints name its fields after it. `None` if it is something else.
    pub fn within<T>(&mut self, name: &str, json: Json, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let Json::Object(fields) = json else {
            self.complain(name, "must be an object");
            return None;
        };
        let mut inner = Self { schema: self.schema, fields, violations: Vec::new() };
        let value = read(&mut inner);
        for Violation { property, reason } in inner.violations {
            self.complain(&format!("{name}.{}", property.unwrap_or_default()), reason);
        }
        Some(value)
    }

    /// Complains about every field that was not read.
    pub fn refuse_others(&mut self) {
        for name in std::mem::take(&mut self.fields).into_keys() {
            self.complain(&name, "is not known here");
        }
    }

    /// Takes over what was wrong with an object inside.
    pub fn adopt(&mut self, inner: Self) {
        for Violation { property, reason } in inner.violations {
            self.complain(property.as_deref().unwrap_or_default(), reason);
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `Invalid`, with every violation, when there was one.
    pub fn close(self) -> Result<(), Failure> {
        if self.violations.is_empty() { Ok(()) } else { Err(Failure::schema(self.schema, self.violations)) }
    }
}

fn violation(name: Option<&str>, reason: impl Into<String>) -> Violation {
    Violation { property: name.map(str::to_owned), reason: reason.into() }
}
