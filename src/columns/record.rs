//! Rows of any composite type, named or not.
//!
//! Where a column is in a row is looked up once for each type of rows that comes by. Invariant: a type that has changed is
//! looked at again.

use std::ffi::CStr;
use std::rc::Rc;

use ecommerce_ml_protocol::Field;
use pgrx::pg_sys::{self, Datum};
use pgrx::varsize;

use super::builder::RowsBuilder;
use super::element::{ArrayReader, element, elements};
use super::error::InputError;
use super::value::ValueReader;

/// So many types of rows are remembered.
const MAX_LAYOUTS: usize = 16;

/// Reads rows for one model.
pub struct RecordReader {
    fields: Rc<[Field]>,
    /// Where descriptions of types are kept.
    memory: pg_sys::MemoryContext,
    layouts: Vec<RowLayout>,
    /// The latest.
    current: usize,
}

/// Where the columns are in rows of one type.
struct RowLayout {
    row_type: pg_sys::Oid,
    modifier: i32,
    /// Changes when the type does.
    identifier: u64,
    description: pg_sys::TupleDesc,
    readers: Result<Vec<AttributeReader>, InputError>,
    values: Vec<Datum>,
    nulls: Vec<bool>,
}

/// How a column is read from the attributes of a row.
enum AttributeReader {
    /// The value of the attribute with this index.
    Whole { index: usize, reader: ValueReader },
    /// A number of its array: that at this place of so many.
    Element { index: usize, array: Rc<ArrayReader>, place: usize, count: usize },
}

/// The numbers of the array that was read last, and the index of its attribute.
#[derive(Default)]
struct Unpacked {
    index: Option<usize>,
    numbers: Vec<Option<f64>>,
}

impl RecordReader {
    /// For these columns.
    ///
    /// # Safety
    /// The memory lives as long as this is used.
    unsafe fn new(fields: Rc<[Field]>, memory: pg_sys::MemoryContext) -> Self {
        Self { fields, memory, layouts: Vec::new(), current: 0 }
    }

    /// Adds a row to columns of these fields, and returns its number there.
    ///
    /// # Errors
    /// [`InputError::NoColumn`], [`InputError::ColumnType`], [`InputError::Array`], [`InputError::Infinite`].
    ///
    /// # Safety
    /// A value of a composite type. What is unpacked of it is in the current memory context.
    pub unsafe fn read(&mut self, row: Datum, rows: &mut RowsBuilder) -> Result<usize, InputError> {
        // SAFETY: as the caller promises: the header says which type describes the row.
        unsafe {
            let header: pg_sys::HeapTupleHeader = pg_sys::pg_detoast_datum(row.cast_mut_ptr()).cast();
            let fields = Rc::clone(&self.fields);
            let RowLayout { description, readers, values, nulls, .. } = self.row_layout(header);
            let readers = readers.as_ref().map_err(Clone::clone)?;
            let mut tuple = pg_sys::HeapTupleData {
                t_len: u32::try_from(varsize(header.cast())).unwrap_or(0),
                t_data: header,
                ..Default::default()
            };
            let (to, is_null) = (values.as_mut_ptr(), nulls.as_mut_ptr());
            pg_sys::heap_deform_tuple(&raw mut tuple, *description, to, is_null);
            let mut unpacked = Unpacked::default();
            rows.push(|columns| {
                for ((reader, column), field) in readers.iter().zip(columns).zip(&*fields) {
                    match reader {
                        AttributeReader::Whole { index, .. } if nulls[*index] => column.push_null(),
                        AttributeReader::Whole { index, reader } => reader.append(values[*index], column),
                        AttributeReader::Element { index, array, place, count } => {
                            let value = (!nulls[*index]).then(|| values[*index]);
                            unpacked.unpack(*index, array, (value, *count), &field.name)?;
                            column.push_number(unpacked.numbers.get(*place).copied().flatten());
                        }
                    }
                    if column.ends_infinite() {
                        return Err(InputError::Infinite(field.name.clone()));
                    }
                }
                Ok(())
            })
        }
    }

    fn is_for(&self, fields: &Rc<[Field]>) -> bool {
        Rc::ptr_eq(&self.fields, fields) || self.fields == *fields
    }

    unsafe fn row_layout(&mut self, header: pg_sys::HeapTupleHeader) -> &mut RowLayout {
        // SAFETY: as the caller promises.
        unsafe {
            let about = (*header).t_choice.t_datum;
            let (row_type, modifier) = (about.datum_typeid, about.datum_typmod);
            let identifier = pg_sys::assign_record_type_identifier(row_type, modifier);
            let fits = |layout: &RowLayout| {
                layout.row_type == row_type && layout.modifier == modifier && layout.identifier == identifier
            };
            if !self.layouts.get(self.current).is_some_and(fits) {
                self.current = self.layouts.iter().position(fits).unwrap_or_else(|| {
                    if self.layouts.len() == MAX_LAYOUTS {
                        pg_sys::FreeTupleDesc(self.layouts.remove(0).description);
                    }
                    self.layouts.push(RowLayout::of(
                        row_type,
                        modifier,
                        identifier,
                        &self.fields,
                        self.memory,
                    ));
                    self.layouts.len() - 1
                });
            }
            &mut self.layouts[self.current]
        }
    }
}

impl Unpacked {
    /// Unpacks an array of so many numbers, unless it is there already; NULL is as many.
    ///
    /// # Safety
    /// A value of the array's type.
    unsafe fn unpack(
        &mut self,
        index: usize,
        array: &ArrayReader,
        (value, count): (Option<Datum>, usize),
        name: &str,
    ) -> Result<(), InputError> {
        if self.index == Some(index) {
            return Ok(());
        }
        let column = element(name).map_or(name, |(array, _)| array);
        self.numbers.clear();
        if let Some(value) = value {
            // SAFETY: as the caller promises.
            let read = unsafe { array.read(value) };
            self.numbers = read.map_err(|found| InputError::dimensions(column, found, count))?;
            if self.numbers.len() != count {
                return Err(InputError::length(column, self.numbers.len(), count));
            }
        }
        self.index = Some(index);
        Ok(())
    }
}

/// Reads rows for any model: one reader for each set of columns that one wants.
pub struct RecordReaders {
    memory: pg_sys::MemoryContext,
    readers: Vec<RecordReader>,
}

impl RecordReaders {
    /// None yet.
    ///
    /// # Safety
    /// The memory lives as long as this is used.
    pub unsafe fn new(memory: pg_sys::MemoryContext) -> Self {
        Self { memory, readers: Vec::new() }
    }

    /// The one for these columns.
    pub fn of(&mut self, fields: &Rc<[Field]>) -> &mut RecordReader {
        let known = self.readers.iter().position(|reader| reader.is_for(fields));
        let at = known.unwrap_or_else(|| {
            // SAFETY: as the caller of `new` promised.
            self.readers.push(unsafe { RecordReader::new(Rc::clone(fields), self.memory) });
            self.readers.len() - 1
        });
        &mut self.readers[at]
    }
}

impl RowLayout {
    unsafe fn of(
        row_type: pg_sys::Oid,
        modifier: i32,
        identifier: u64,
        fields: &[Field],
        memory: pg_sys::MemoryContext,
    ) -> Self {
        // SAFETY: as the caller promises; a type of which there are rows exists.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(memory);
            let description = pg_sys::lookup_rowtype_tupdesc_copy(row_type, modifier);
            pg_sys::MemoryContextSwitchTo(before);
            let count = usize::try_from((*description).natts).unwrap_or(0);
            let mut arrays = Vec::new();
            let readers =
                fields.iter().map(|field| reader_of(description, field, fields, &mut arrays)).collect();
            let (values, nulls) = (vec![Datum::from(0); count], vec![true; count]);
            Self { row_type, modifier, identifier, description, readers, values, nulls }
        }
    }
}

/// Arrays of a description whose readers are known.
type Arrays = Vec<(usize, Rc<ArrayReader>)>;

/// Where a column is in rows of this description, and how it is read.
unsafe fn reader_of(
    description: pg_sys::TupleDesc,
    field: &Field,
    all: &[Field],
    arrays: &mut Arrays,
) -> Result<AttributeReader, InputError> {
    // SAFETY: as the caller promises.
    unsafe {
        if let Some(index) = index_of(description, &field.name) {
            let type_oid = (*attribute(description, index)).atttypid;
            let reader = ValueReader::of(type_oid).filter(|reader| reader.value_type() == field.value_type);
            let reader = reader.ok_or_else(|| InputError::ColumnType {
                column: field.name.clone(),
                type_name: name_of(type_oid),
                expected: field.value_type,
            })?;
            return Ok(AttributeReader::Whole { index, reader });
        }
        let missing = || InputError::no_column(&field.name, all);
        let (name, number) = element(&field.name).ok_or_else(missing)?;
        let index = index_of(description, name).ok_or_else(|| InputError::no_column(name, all))?;
        let known = arrays.iter().find(|(known, _)| *known == index).map(|(_, array)| Rc::clone(array));
        let array = match known {
            Some(array) => array,
            None => {
                let type_oid = (*attribute(description, index)).atttypid;
                let unfit = || InputError::no_array(name, &name_of(type_oid), elements(all, name));
                let array = Rc::new(ArrayReader::of(type_oid).ok_or_else(unfit)?);
                arrays.push((index, Rc::clone(&array)));
                array
            }
        };
        Ok(AttributeReader::Element { index, array, place: number - 1, count: elements(all, name) })
    }
}

/// The index of the attribute of this name.
unsafe fn index_of(description: pg_sys::TupleDesc, name: &str) -> Option<usize> {
    // SAFETY: as the caller promises.
    unsafe {
        let count = usize::try_from((*description).natts).unwrap_or(0);
        let named = |index: &usize| {
            let attribute = attribute(description, *index);
            !(*attribute).attisdropped
                && CStr::from_ptr((*attribute).attname.data.as_ptr()).to_bytes() == name.as_bytes()
        };
        (0..count).find(named)
    }
}

/// What the server calls a type.
unsafe fn name_of(type_oid: pg_sys::Oid) -> String {
    // SAFETY: as the caller promises; the name is a terminated string.
    let name = unsafe { CStr::from_ptr(pg_sys::format_type_be(type_oid)) };
    name.to_string_lossy().into_owned()
}

/// An attribute, by its index from 0.
unsafe fn attribute(description: pg_sys::TupleDesc, index: usize) -> *const pg_sys::FormData_pg_attribute {
    // SAFETY: as the caller promises: there is such an attribute.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        return (*description).attrs.as_ptr().add(index);
        // The attributes are behind the compact ones.
        #[cfg(feature = "pg18")]
        return (*description)
            .compact_attrs
            .as_ptr()
            .add(usize::try_from((*description).natts).unwrap_or(0))
            .cast::<pg_sys::FormData_pg_attribute>()
            .add(index);
    }
}
