//! The query around the clause to [`Query`].

use std::collections::HashSet;

use cepheid_ir::{Expr, Literal, OrderItem, Query, SelectItem};

use crate::Dialect;
use crate::ast::{Item, Kind, Name, Node, Select, SortItem};
use crate::error::{Failure, Parsed};
use crate::lower::{Scope, lower_expression};
use crate::lower_pattern::lower_recognition;
use crate::span::Span;

/// The whole query.
pub(crate) fn lower_select(select: Select) -> Parsed<Query> {
    let alias = select.alias.as_ref();
    let pattern = lower_recognition(select.recognition)?;
    let scope = Scope { dialect: Dialect::Outer, variables: None, alias, context: String::new() };
    let items = select.items.into_iter().enumerate();
    let items = items.map(|(index, item)| lower_item(&scope, index, item)).collect::<Parsed<Vec<_>>>()?;
    let filter = select.filter.map(|filter| lower_expression(&scope, filter)).transpose()?;
    let columns = OutputColumns::of(&items);
    let order_by = select.order.by.into_iter().map(|item| lower_order_item(&scope, &columns, item));
    let order_by = order_by.collect::<Parsed<Vec<_>>>()?;
    Ok(Query {
        table: select.table.text,
        table_quoted: select.table.quoted,
        pattern,
        order_by,
        select: items,
        filter,
        offset: select.order.offset,
        limit: select.order.limit,
    })
}

fn lower_item(scope: &Scope<'_>, index: usize, item: Item) -> Parsed<SelectItem> {
    match item {
        Item::All { qualifier, .. } => {
            if let Some(qualifier) = qualifier {
                scope.check_alias(&qualifier)?;
            }
            Ok(SelectItem::All)
        }
        Item::Value { value, alias } => {
            let name = item_name(index, &value, alias.as_ref());
            Ok(SelectItem::Value { name, value: lower_expression(scope, value)? })
        }
    }
}

/// The output column of an entry of the select list.
pub(crate) fn item_name(index: usize, value: &Node, alias: Option<&Name>) -> String {
    match (alias, &*value.kind) {
        (Some(alias), _) => alias.text.clone(),
        (None, Kind::Column { column, .. }) => column.text.clone(),
        (None, _) => format!("_col{index}"),
    }
}

fn lower_order_item(
    scope: &Scope<'_>,
    columns: &OutputColumns<'_>,
    item: SortItem<Node>,
) -> Parsed<OrderItem> {
    let SortItem { value, descending, nulls_first } = item;
    let value = match &*value.kind {
        Kind::Literal(Literal::Integer(ordinal)) => columns.counted(*ordinal, value.span)?,
        _ => lower_expression(scope, value)?,
    };
    Ok(OrderItem { value, descending, nulls_first })
}

/// What `ORDER BY` can count: the output columns before the first `*`.
pub(crate) struct OutputColumns<'a> {
    counted: Vec<&'a str>,
    /// Whether a `*` follows, so that a greater ordinal may still name a column.
    all_follows: bool,
    /// Names that more than one item has.
    repeated: HashSet<&'a str>,
}

impl<'a> OutputColumns<'a> {
    pub(crate) fn of(items: &'a [SelectItem]) -> Self {
        let name = |item: &'a SelectItem| match item {
            SelectItem::All => None,
            SelectItem::Value { name, .. } => Some(name.as_str()),
        };
        let counted: Vec<&str> = items.iter().map_while(name).collect();
        let mut seen = HashSet::new();
        let repeated = items.iter().filter_map(name).filter(|name| !seen.insert(*name)).collect();
        Self { all_follows: counted.len() < items.len(), counted, repeated }
    }

    /// Whether an output column has the name.
    ///
    /// # Errors
    /// Several have.
    pub(crate) fn has(&self, name: &str, quoted: bool, span: Span) -> Parsed<bool> {
        let count = |same: &dyn Fn(&str) -> bool| self.counted.iter().filter(|own| same(own)).count();
        let folded = name.to_lowercase();
        // One that is spelled the same goes before those that are but for their case.
        match (count(&|own| own == name), quoted) {
            (0, true) => Ok(false),
            (1, _) => Ok(true),
            (0, false) => match count(&|own| own.to_lowercase() == folded) {
                count @ (0 | 1) => Ok(count == 1),
                _ => Err(repeated(name, span)),
            },
            _ => Err(repeated(name, span)),
        }
    }

    /// `ORDER BY 2`: the second output column, by its name.
    pub(crate) fn counted(&self, ordinal: i64, span: Span) -> Parsed<Expr> {
        let index = usize::try_from(ordinal).ok().and_then(|ordinal| ordinal.checked_sub(1));
        match index.map(|index| self.counted.get(index)) {
            Some(Some(name)) if self.repeated.contains(name) => Err(repeated(name, span)),
            Some(Some(name)) => {
                Ok(Expr::Column { name: (*name).to_owned(), quoted: true, at: Default::default() })
            }
            Some(None) if self.all_follows => {
                Err(Failure::unsupported(span, "behind `*` an output column is named, not counted"))
            }
            _ => Err(Failure::invalid(span, format!("there is no output column {ordinal}"))),
        }
    }
}

fn repeated(name: &str, span: Span) -> Box<Failure> {
    Failure::invalid(
        span,
        format!("several output columns are named `{name}`; give each a name of its own by AS"),
    )
}
