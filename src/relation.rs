//! The relation and columns that a call names.
//!
//! Invariant: what [`Relation::from`] and the expressions of a [`Column`] return can be put into a statement as it is,
//! whatever the names and the `search_path`.

use std::ffi::{CStr, CString, c_char};

use ecommerce_ml_protocol::{Field, ValueType};
use pgrx::spi::{quote_identifier, quote_qualified_identifier};
use pgrx::{IntoDatum, Spi, direct_function_call, pg_sys, spi};

use crate::catalog::statement::returning_one;
use crate::columns;
use crate::columns::element::{ArrayReader, MAX_ELEMENTS, element, element_name};
use crate::error::Error;

/// A table, view, materialized view or foreign table.
pub struct Relation {
    oid: pg_sys::Oid,
    name: String,
    from: String,
}

/// What kind of values a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Texts of any type, enumerations too.
    Text,
    /// Booleans.
    Truth,
    /// Integers.
    Whole,
    /// `numeric`.
    Decimal,
    /// `real` and `double precision`.
    Float,
    /// Ranges of numbers.
    Range,
}

/// A column of a relation.
pub struct Column {
    name: String,
    quoted: String,
    type_oid: pg_sys::Oid,
    type_name: String,
    kind: Option<Kind>,
}

impl Relation {
    /// The relation of this id.
    ///
    /// # Errors
    /// [`Error::UnknownRelation`], [`Error::NotARelation`].
    pub fn open(oid: pg_sys::Oid) -> Result<Self, Error> {
        let unknown = || Error::UnknownRelation(oid.to_u32());
        // SAFETY: looks into catalogs only; what isn't there is reported by the result.
        let (kind, name, schema) = unsafe {
            let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(oid));
            (pg_sys::get_rel_relkind(oid), owned(pg_sys::get_rel_name(oid)), owned(schema))
        };
        let (name, schema) = (name.ok_or_else(unknown)?, schema.ok_or_else(unknown)?);
        let readable = [
            pg_sys::RELKIND_RELATION,
            pg_sys::RELKIND_VIEW,
            pg_sys::RELKIND_MATVIEW,
            pg_sys::RELKIND_FOREIGN_TABLE,
            pg_sys::RELKIND_PARTITIONED_TABLE,
        ];
        if !readable.into_iter().any(|known| known == kind.cast_unsigned()) {
            return Err(Error::NotARelation(name));
        }
        let from = quote_qualified_identifier(&schema, &name);
        Ok(Self { oid, name, from })
    }

    /// The relation that a name stands for now.
    ///
    /// # Errors
    /// As [`open`](Self::open); the server's own for a name that stands for nothing.
    pub fn named(name: &str) -> Result<Self, Error> {
        let name = CString::new(name).map_err(|_| Error::Unexpected("a name with a NUL"))?;
        // SAFETY: an input function takes a terminated string, and this one returns an id or raises an error.
        let found = unsafe {
            direct_function_call::<pg_sys::Oid>(pg_sys::regclassin, &[name.as_c_str().into_datum()])
        };
        Self::open(found.ok_or(Error::Unexpected("no id of what has a name"))?)
    }

    /// Its id.
    pub fn oid(&self) -> pg_sys::Oid {
        self.oid
    }

    /// Its name, without the schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How a FROM clause names it.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// The columns of its primary key, in their order; none if it has none.
    ///
    /// # Errors
    /// When the server's catalogs can't be read.
    pub fn primary_key(&self) -> Result<Vec<String>, Error> {
        let query = "
            SELECT array_agg(a.attname::text ORDER BY k.place)
            FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place), pg_attribute a
            WHERE i.indrelid = $1 AND i.indisprimary AND k.place <= i.indnkeyatts AND a.attrelid = i.indrelid
              AND a.attnum = k.number";
        Ok(returning_one::<Vec<String>>(query, &[self.oid.into()])?.unwrap_or_default())
    }

    /// All columns of it, in order.
    ///
    /// # Errors
    /// When the server's catalogs can't be read.
    pub fn columns(&self) -> Result<Vec<Column>, Error> {
        let query = "SELECT attname::text FROM pg_catalog.pg_attribute
                     WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        let names = Spi::connect(|client| {
            let found = client.select(query, None, &[self.oid.into()])?;
            found.map(|row| row.get::<String>(1)).collect::<spi::Result<Vec<_>>>()
        })?;
        names.into_iter().flatten().map(|name| self.column_named(&name)).collect()
    }

    /// As [`column`](Self::column).
    ///
    /// # Errors
    /// As there.
    pub fn column_named(&self, name: &str) -> Result<Column, Error> {
        self.column(&CString::new(name).map_err(|_| Error::Unexpected("a name with a NUL"))?)
    }

    /// A column of it.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`].
    pub fn column(&self, name: &CStr) -> Result<Column, Error> {
        let shown = name.to_string_lossy().into_owned();
        if let Some(column) = self.element(&shown) {
            return Ok(column);
        }
        // SAFETY: a terminated string; a missing column is reported by the result, and a type that a column has exists.
        let type_oid = unsafe {
            let number = pg_sys::get_attnum(self.oid, name.as_ptr());
            if number <= 0 {
                return Err(Error::UnknownColumn { relation: self.name.clone(), column: shown });
            }
            pg_sys::get_atttype(self.oid, number)
        };
        Ok(Column::of_type(format!("t.{}", quote_identifier(&shown)), shown, type_oid))
    }

    /// An element of an array of numbers, as `sizes[2]`; nothing if there is a column of this very name, or no such array.
    fn element(&self, name: &str) -> Option<Column> {
        let (array, number) = element(name)?;
        if self.has(name) || !self.has(array) {
            return None;
        }
        let array = self.column_named(array).ok()?;
        let reader = array.array()?;
        let quoted = format!("({})[{number}]", array.as_array(&reader));
        Some(Column::of_type(quoted, name.to_owned(), reader.element_type()))
    }

    fn has(&self, name: &str) -> bool {
        // SAFETY: a terminated string; a missing column is reported by the result.
        CString::new(name).is_ok_and(|name| unsafe { pg_sys::get_attnum(self.oid, name.as_ptr()) } > 0)
    }

    /// The elements of an array of numbers as columns of their own. Nothing is known of how many there are but by the rows for which
    /// a condition holds: all have the same number, and where there are none, one.
    ///
    /// # Errors
    /// [`Error::FeatureType`] for a column that is none, [`Error::ArrayLengths`], and the server's own.
    pub fn elements(&self, column: &Column, condition: &str) -> Result<Vec<Column>, Error> {
        let lengths = self.array_lengths(column, condition)?;
        let (least, most) = lengths.unwrap_or((1, 1));
        let count = usize::try_from(least).ok().filter(|count| (1..=MAX_ELEMENTS).contains(count));
        let Some(count) = count.filter(|_| least == most) else {
            return Err(Error::ArrayLengths { column: column.name.clone(), least, most });
        };
        (1..=count).map(|number| self.column_named(&element_name(&column.name, number))).collect()
    }

    /// The least and the most numbers of the arrays of a column; nothing if there are none.
    ///
    /// # Errors
    /// As of [`elements`](Self::elements).
    pub fn array_lengths(&self, column: &Column, condition: &str) -> Result<Option<(i32, i32)>, Error> {
        let unread =
            || Error::FeatureType { column: column.name.clone(), type_name: column.type_name.clone() };
        let array = column.as_array(&column.array().ok_or_else(unread)?);
        let query = format!(
            "SELECT pg_catalog.min(l.n), pg_catalog.max(l.n) FROM (
                SELECT CASE WHEN pg_catalog.array_ndims(q.a) OPERATOR(pg_catalog.=) 1
                            THEN pg_catalog.array_length(q.a, 1) ELSE 0 END AS n
                FROM (SELECT {array} AS a FROM {}{condition}) AS q WHERE q.a IS NOT NULL) AS l",
            format_args!("{} AS t", self.from)
        );
        let (least, most) = Spi::get_two::<i32, i32>(&query)?;
        Ok(least.zip(most))
    }
}

impl Column {
    fn of_type(quoted: String, name: String, type_oid: pg_sys::Oid) -> Self {
        Self {
            quoted,
            name,
            type_oid,
            // SAFETY: the type of a column, or of an array's elements, exists.
            type_name: unsafe { owned(pg_sys::format_type_be(type_oid)) }.unwrap_or_default(),
            kind: kind(type_oid),
        }
    }

    /// How its arrays of numbers are read; nothing if its values are none.
    fn array(&self) -> Option<ArrayReader> {
        // SAFETY: the type of a column exists.
        unsafe { ArrayReader::of(self.type_oid) }
    }

    /// Whether its values are arrays of numbers.
    pub fn is_array(&self) -> bool {
        self.value_type().is_none() && self.array().is_some()
    }

    fn as_array(&self, reader: &ArrayReader) -> String {
        if reader.is_cast() { format!("{}::pg_catalog.float4[]", self.quoted) } else { self.quoted.clone() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name and type, as users are told.
    pub fn shown(&self) -> String {
        format!("{} ({})", self.name, self.type_name)
    }

    /// What the type of its values is called.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The type of its values.
    pub fn type_oid(&self) -> pg_sys::Oid {
        self.type_oid
    }

    /// Its values as they are.
    pub fn as_it_is(&self) -> &str {
        &self.quoted
    }

    /// What a model reads its values as; nothing if it can't.
    pub fn value_type(&self) -> Option<ValueType> {
        // SAFETY: the type of a column exists.
        unsafe { columns::value_type(self.type_oid) }
    }

    /// The same, as one of the columns that a model reads.
    ///
    /// # Errors
    /// [`Error::FeatureType`].
    pub fn as_feature(&self) -> Result<Field, Error> {
        let unread = || Error::FeatureType { column: self.name.clone(), type_name: self.type_name.clone() };
        Ok(Field { name: self.name.clone(), value_type: self.value_type().ok_or_else(unread)? })
    }

    /// Refuses a column whose values are no moments.
    ///
    /// # Errors
    /// [`Error::ColumnType`].
    pub fn require_time(&self) -> Result<(), Error> {
        match self.value_type() {
            Some(ValueType::Timestamp) => Ok(()),
            _ => Err(self.unfit("a date or a timestamp")),
        }
    }

    /// Refuses a column whose values are neither true nor false.
    ///
    /// # Errors
    /// [`Error::ColumnType`].
    pub fn require_truth(&self) -> Result<(), Error> {
        match self.kind {
            Some(Kind::Truth) => Ok(()),
            _ => Err(self.unfit("boolean")),
        }
    }

    /// What it holds.
    ///
    /// # Errors
    /// [`Error::ColumnType`] for types that are neither labels nor numbers.
    pub fn kind(&self) -> Result<Kind, Error> {
        let is_one = |kind: &Kind| *kind != Kind::Range;
        self.kind.filter(is_one).ok_or_else(|| self.unfit("text, integer, boolean or a number"))
    }

    /// Its values as text, if that is what they are.
    ///
    /// # Errors
    /// [`Error::ColumnType`].
    pub fn as_review(&self) -> Result<String, Error> {
        match self.kind {
            Some(Kind::Text) => Ok(format!("{}::pg_catalog.text", self.quoted)),
            _ => Err(self.unfit("text")),
        }
    }

    /// Its values as labels: texts of one form each, compared byte by byte.
    ///
    /// # Errors
    /// As [`kind`](Self::kind).
    pub fn as_label(&self) -> Result<String, Error> {
        let Self { quoted, .. } = self;
        Ok(match self.kind()? {
            // 4.00 is 4.
            Kind::Decimal => format!("pg_catalog.trim_scale({quoted})::pg_catalog.text"),
            _ => format!("{quoted}::pg_catalog.text COLLATE pg_catalog.\"C\""),
        })
    }

    /// Its values as texts that tell things apart, whatever their type: the same value is the same text.
    pub fn as_key(&self) -> String {
        let Self { quoted, .. } = self;
        match self.kind {
            Some(Kind::Decimal) => format!("pg_catalog.trim_scale({quoted})::pg_catalog.text"),
            _ => format!("{quoted}::pg_catalog.text COLLATE pg_catalog.\"C\""),
        }
    }

    /// Refuses a label of a column of numbers that is none; in a column of texts, the same is a word.
    ///
    /// # Errors
    /// [`Error::LabelNotFinite`].
    pub fn check_label(&self, label: &str) -> Result<(), Error> {
        let has_others = matches!(self.kind, Some(Kind::Decimal | Kind::Float));
        if has_others && matches!(label, "NaN" | "Infinity" | "-Infinity") {
            return Err(Error::LabelNotFinite(label.to_owned()));
        }
        Ok(())
    }

    /// Its values as `double precision`, if they are numbers.
    ///
    /// # Errors
    /// [`Error::ColumnType`].
    pub fn as_number(&self) -> Result<String, Error> {
        match self.kind {
            Some(Kind::Whole | Kind::Decimal | Kind::Float) => {
                Ok(format!("{}::pg_catalog.float8", self.quoted))
            }
            _ => Err(self.unfit("a number")),
        }
    }

    /// Its values as arrays of `real`, if that is what they are or what the server turns them into, such as pgvector's.
    ///
    /// # Errors
    /// [`Error::ColumnType`].
    pub fn as_embedding(&self) -> Result<String, Error> {
        let mut function = pg_sys::InvalidOid;
        // SAFETY: the type of a column exists.
        let path = unsafe {
            pg_sys::find_coercion_pathway(
                pg_sys::FLOAT4ARRAYOID,
                pg_sys::getBaseType(self.type_oid),
                pg_sys::CoercionContext::COERCION_EXPLICIT,
                &raw mut function,
            )
        };
        match path {
            // Texts that happen to look like an array are none.
            pg_sys::CoercionPathType::COERCION_PATH_NONE
            | pg_sys::CoercionPathType::COERCION_PATH_COERCEVIAIO => {
                Err(self.unfit("real[], or a type that can be cast to it"))
            }
            _ => Ok(format!("{}::pg_catalog.float4[]", self.quoted)),
        }
    }

    /// Whether its values are ranges of numbers.
    pub fn is_range(&self) -> bool {
        self.kind == Some(Kind::Range)
    }

    /// Its values as arrays of `double precision`, if they are numbers or ranges of them: the number, or the lower and the upper
    /// bound with whether each belongs to the range (1 or 0); no bound is an infinite one. An empty range is an empty array.
    ///
    /// # Errors
    /// [`Error::ColumnType`].
    pub fn as_number_or_range(&self) -> Result<String, Error> {
        let Self { quoted, .. } = self;
        if !self.is_range() {
            return self.as_number();
        }
        Ok(format!(
            "CASE WHEN {quoted} IS NULL THEN NULL WHEN pg_catalog.isempty({quoted}) THEN '{{}}'::pg_catalog.float8[] ELSE ARRAY[
             coalesce(pg_catalog.lower({quoted})::pg_catalog.float8, '-Infinity'),
             coalesce(pg_catalog.upper({quoted})::pg_catalog.float8, 'Infinity'),
             pg_catalog.lower_inc({quoted})::pg_catalog.int4::pg_catalog.float8,
             pg_catalog.upper_inc({quoted})::pg_catalog.int4::pg_catalog.float8] END"
        ))
    }

    /// Says that its type is not what it has to be.
    pub fn unfit(&self, expected: &'static str) -> Error {
        Error::ColumnType { column: self.name.clone(), type_name: self.type_name.clone(), expected }
    }

    /// Says that this column can't be compared with another.
    pub fn unlike(&self, other: &Column) -> Error {
        Error::ColumnsUnlike {
            columns: [self.name.clone(), other.name.clone()],
            types: [self.type_name.clone(), other.type_name.clone()],
        }
    }
}

/// What values of a type are; those of a domain are what its base type's are.
fn kind(type_oid: pg_sys::Oid) -> Option<Kind> {
    let (mut category, mut preferred) = (0, false);
    // SAFETY: the type of a column exists.
    let base = unsafe {
        let base = pg_sys::getBaseType(type_oid);
        pg_sys::get_type_category_preferred(base, &raw mut category, &raw mut preferred);
        base
    };
    match base {
        pg_sys::BOOLOID => Some(Kind::Truth),
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => Some(Kind::Whole),
        pg_sys::NUMERICOID => Some(Kind::Decimal),
        pg_sys::FLOAT4OID | pg_sys::FLOAT8OID => Some(Kind::Float),
        pg_sys::INT4RANGEOID | pg_sys::INT8RANGEOID | pg_sys::NUMRANGEOID => Some(Kind::Range),
        _ => matches!(category.cast_unsigned(), pg_sys::TYPCATEGORY_STRING | pg_sys::TYPCATEGORY_ENUM)
            .then_some(Kind::Text),
    }
}

/// A name that the server returned, or null.
///
/// # Safety
/// The pointer is null or that of a terminated string.
unsafe fn owned(name: *const c_char) -> Option<String> {
    // SAFETY: as demanded above.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}
