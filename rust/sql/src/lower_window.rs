//! Queries of windows to [`WindowQuery`]: what is asked of the rows of a window becomes its measures, the rest is
//! computed from these, the keys, and the window's own columns.

use cepheid_ir::trend::WINDOW_COLUMNS;
use cepheid_ir::{
    Aggregate, AggregateFunction, ColumnName, Expr, Frame, Literal, Measure, OrderItem, Reports, RowPointer,
    SelectItem, Semantics, TestedRow, Window, WindowQuery,
};

use crate::Dialect;
use crate::ast::{Item, Kind, Name, Node, SortItem, WindowSelect};
use crate::error::{Failure, Parsed};
use crate::lower::{Scope, lower_expression};
use crate::lower_pattern::column_name;
use crate::lower_query::{OutputColumns, item_name};
use crate::span::Span;

/// The whole query.
pub(crate) fn lower_window_select(select: WindowSelect) -> Parsed<WindowQuery> {
    let scope = Scope {
        dialect: Dialect::Window,
        variables: None,
        alias: select.alias.as_ref(),
        context: String::new(),
    };
    let source = select.source;
    let mut lowering = Lowering {
        scope: &scope,
        keys: keys(&scope, select.group_by, select.group_by_span)?,
        measures: vec![],
    };
    lowering.check_sessions(source.frame, &source.partition_by, source.span)?;
    let condition = select.filter.map(|filter| lowering.condition(filter, source.frame)).transpose()?;
    let items = select.items.into_iter().enumerate();
    let items = items.map(|(index, item)| lowering.item(index, item)).collect::<Parsed<Vec<_>>>()?;
    let having = select.having.map(|having| lowering.of_windows(having, "HAVING")).transpose()?;
    let columns = OutputColumns::of(&items);
    let order_by = select.order.by.into_iter();
    let order_by = order_by.map(|item| lowering.sort_key(&columns, item)).collect::<Parsed<Vec<_>>>()?;
    let Lowering { keys, mut measures, .. } = lowering;
    if measures.is_empty() {
        // A window says something of its rows, be it how many they are.
        measures.push(Measure { name: unused(&keys, &measures), value: Expr::Aggregate(count()) });
    }
    let window = Window {
        name: None,
        topic: None,
        partition_by: keys,
        condition,
        frame: source.frame,
        measures,
        reports: Reports::default(),
        emit: None,
        event_time: Some(column_name(source.time)),
    };
    window.validate().map_err(|error| Failure::pattern(error, source.span))?;
    Ok(WindowQuery {
        table: source.table.text,
        table_quoted: source.table.quoted,
        window: window.normalise(),
        select: items,
        having,
        order_by,
        offset: select.order.offset,
        limit: select.order.limit,
    })
}

/// The window of a query that does nothing with what it gives but select from it.
pub(crate) fn lower_plain_window(select: WindowSelect) -> Parsed<Window> {
    if let Some(span) = select.beyond_window {
        let message = "a window gives all of its rows, in the order in which windows end; leave the clause out, or run \
                       the whole query with cepheid.sql()";
        return Err(Failure::unsupported(span, message));
    }
    let spans: Vec<Span> = select.items.iter().map(item_span).collect();
    let fallback = select.source.span;
    let query = lower_window_select(select)?;
    for (place, item) in query.select.iter().enumerate() {
        // A column of its own name is one that a window gives.
        let plain = match item {
            SelectItem::Value { name, value: Expr::Column { name: column, .. } } => name == column,
            _ => false,
        };
        if !plain {
            let message = "a window gives its keys, window_start and window_end under their own names, and measures of \
                           names of their own; run the whole query with cepheid.sql()";
            return Err(Failure::unsupported(spans.get(place).copied().unwrap_or(fallback), message));
        }
    }
    let is_measure = |item: &SelectItem| match item {
        SelectItem::Value { name, .. } => query.window.measures.iter().any(|measure| measure.name == *name),
        SelectItem::All => false,
    };
    if !query.select.iter().any(is_measure) {
        return Err(Failure::unsupported(
            fallback,
            "a window says something of its rows; select an aggregate",
        ));
    }
    Ok(query.window)
}

fn item_span(item: &Item) -> Span {
    match item {
        Item::Value { value, .. } => value.span,
        Item::All { span, .. } => *span,
    }
}

/// The keys that rows are grouped by, besides the columns of the window, which must be among them.
fn keys(scope: &Scope<'_>, group_by: Vec<Node>, span: Span) -> Parsed<Vec<ColumnName>> {
    let mut keys: Vec<ColumnName> = vec![];
    let mut missing = WINDOW_COLUMNS.to_vec();
    for node in group_by {
        let Kind::Column { qualifier, column } = *node.kind else {
            let message =
                "rows of windows are grouped by columns; compute others as columns of the table first";
            return Err(Failure::unsupported(node.span, message));
        };
        if let Some(qualifier) = qualifier {
            scope.check_alias(&qualifier)?;
        }
        if let Some(own) = window_column(&column.text, column.quoted) {
            missing.retain(|name| *name != own);
        } else if !keys.iter().any(|key| same_column(key, &column.text, column.quoted)) {
            keys.push(column_name(column));
        }
    }
    if missing.is_empty() {
        return Ok(keys);
    }
    let message = format!("GROUP BY must name the columns of the window, too; add {}", missing.join(", "));
    Err(Failure::invalid(span, message))
}

/// Which of the window's own columns a name is of.
fn window_column(name: &str, quoted: bool) -> Option<&'static str> {
    let same = |own: &&str| if quoted { **own == *name } else { own.eq_ignore_ascii_case(name) };
    WINDOW_COLUMNS.into_iter().find(|own| same(own))
}

/// Whether two names are of one column, as far as that shows without the table.
fn same_column(key: &ColumnName, name: &str, quoted: bool) -> bool {
    if key.quoted && quoted { key.name == name } else { key.name.to_lowercase() == name.to_lowercase() }
}

struct Lowering<'a> {
    scope: &'a Scope<'a>,
    keys: Vec<ColumnName>,
    measures: Vec<Measure>,
}

impl Lowering<'_> {
    /// Sessions of some rows are not those of all.
    fn check_sessions(&self, frame: Frame, partition_by: &[Name], span: Span) -> Parsed<()> {
        let known = |name: &Name| self.keys.iter().any(|key| same_column(key, &name.text, name.quoted));
        let of_keys = partition_by.iter().all(known)
            && self
                .keys
                .iter()
                .all(|key| partition_by.iter().any(|name| same_column(key, &name.text, name.quoted)));
        if !matches!(frame, Frame::Session { .. }) || of_keys {
            return Ok(());
        }
        let message = "sessions are those of the keys: PARTITION BY must name the columns that GROUP BY does, the \
                       window's apart";
        Err(Failure::unsupported(span, message))
    }

    /// `WHERE`: a condition on a row.
    fn condition(&self, node: Node, frame: Frame) -> Parsed<Expr> {
        let span = node.span;
        if matches!(frame, Frame::Session { .. }) {
            let message = "behind SESSION, WHERE would leave rows out of sessions that they hold together; filter the \
                           table first, or write cepheid.window(..., where=...), which passes over them altogether";
            return Err(Failure::unsupported(span, message));
        }
        let condition = lower_expression(self.scope, node)?;
        let mut problem = None;
        condition.walk(&mut |part| match part {
            Expr::Column { name, quoted, at } if at.is_default() => {
                if let Some(own) = window_column(name, *quoted) {
                    problem =
                        Some(format!("{own} is a column of the window, not of the row; put it into HAVING"));
                }
            }
            part if is_of_rows(part) => {
                problem =
                    Some("WHERE is asked of a single row; put what is asked of all rows into HAVING".into());
            }
            _ => {}
        });
        match problem {
            Some(message) => Err(Failure::invalid(span, message)),
            None => Ok(condition),
        }
    }

    fn item(&mut self, index: usize, item: Item) -> Parsed<SelectItem> {
        match item {
            Item::All { span, .. } => {
                let message =
                    "a query of windows names its columns: keys, window_start, window_end, and aggregates";
                Err(Failure::unsupported(span, message))
            }
            Item::Value { value, alias } => {
                let name = item_name(index, &value, alias.as_ref());
                let span = value.span;
                let expr = lower_expression(self.scope, value)?;
                self.check_columns(&expr, span, "SELECT")?;
                let value = if has(&expr, is_window_column) || !has(&expr, is_of_rows) {
                    self.with_measures(expr)
                } else {
                    self.measure(Some(&name), expr)
                };
                Ok(SelectItem::Value { name, value })
            }
        }
    }

    /// An expression over what windows give.
    fn of_windows(&mut self, node: Node, clause: &str) -> Parsed<Expr> {
        let span = node.span;
        let expr = lower_expression(self.scope, node)?;
        self.check_columns(&expr, span, clause)?;
        Ok(self.with_measures(expr))
    }

    fn sort_key(&mut self, columns: &OutputColumns<'_>, item: SortItem<Node>) -> Parsed<OrderItem> {
        let SortItem { value: node, descending, nulls_first } = item;
        let value = match &*node.kind {
            Kind::Literal(Literal::Integer(ordinal)) => columns.counted(*ordinal, node.span)?,
            Kind::Column { qualifier: None, column }
                if columns.has(&column.text, column.quoted, node.span)? =>
            {
                lower_expression(self.scope, node)?
            }
            _ => self.of_windows(node, "ORDER BY")?,
        };
        Ok(OrderItem { value, descending, nulls_first })
    }

    /// Every column outside of aggregates must be the same for all rows of a window.
    fn check_columns(&self, expr: &Expr, span: Span, clause: &str) -> Parsed<()> {
        match expr {
            Expr::Aggregate(_) => Ok(()),
            Expr::Column { name, quoted, at } if at.is_default() => {
                let key = self.keys.iter().any(|key| same_column(key, name, *quoted));
                if key || window_column(name, *quoted).is_some() {
                    return Ok(());
                }
                let message = format!(
                    "in {clause}, `{name}` is neither grouped by nor in an aggregate; add it to GROUP BY, or say of which \
                     rows: LAST({name}), MIN({name})"
                );
                let known = self.keys.iter().map(|key| key.name.as_str()).chain(WINDOW_COLUMNS);
                Err(Failure::invalid(span, message).with_nearest(name, known))
            }
            Expr::Column { at, .. } if at.logical_offset > 0 => {
                Err(Failure::invalid(span, "of a window's rows only the first and the last can be asked for"))
            }
            _ => expr.children().into_iter().try_for_each(|part| self.check_columns(part, span, clause)),
        }
    }

    /// The expression with a measure in place of whatever is asked of the rows.
    fn with_measures(&mut self, mut expr: Expr) -> Expr {
        if is_of_rows(&expr) {
            return self.measure(None, expr);
        }
        for part in expr.children_mut() {
            let taken = std::mem::replace(part, Expr::MatchNumber);
            *part = self.with_measures(taken);
        }
        expr
    }

    /// The column of a measure; under the wanted name, if nothing else has it.
    fn measure(&mut self, wanted: Option<&str>, value: Expr) -> Expr {
        let said = self.measures.iter().find(|measure| measure.value == value);
        let name = match (wanted, said) {
            (Some(wanted), _) if !self.is_taken(wanted) => wanted.to_owned(),
            (_, Some(measure)) => return output_column(&measure.name),
            _ => unused(&self.keys, &self.measures),
        };
        let column = output_column(&name);
        self.measures.push(Measure { name, value });
        column
    }

    fn is_taken(&self, name: &str) -> bool {
        is_taken(&self.keys, &self.measures, name)
    }
}

/// Names are compared without regard to case, so that each can be written so.
fn is_taken(keys: &[ColumnName], measures: &[Measure], name: &str) -> bool {
    let same = |taken: &str| taken.to_lowercase() == name.to_lowercase();
    WINDOW_COLUMNS.into_iter().any(same)
        || keys.iter().any(|key| same(&key.name))
        || measures.iter().any(|measure| same(&measure.name))
}

/// A name for a measure that is not shown.
fn unused(keys: &[ColumnName], measures: &[Measure]) -> String {
    let mut names = (measures.len()..).map(|count| format!("_measure{count}"));
    names.find(|name| !is_taken(keys, measures, name)).expect("there are more names than measures")
}

fn output_column(name: &str) -> Expr {
    Expr::Column { name: name.to_owned(), quoted: true, at: RowPointer::default() }
}

fn count() -> Aggregate {
    Aggregate {
        function: AggregateFunction::Count,
        args: vec![],
        distinct: false,
        variable: None,
        semantics: Semantics::Final,
        tested_row: TestedRow::Included,
    }
}

/// Whether it is asked of the rows of a window: an aggregate, or a column of the first or last of them.
fn is_of_rows(expr: &Expr) -> bool {
    match expr {
        Expr::Aggregate(_) => true,
        Expr::Column { at, .. } => !at.is_default(),
        _ => false,
    }
}

fn is_window_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column { name, quoted, at } if at.is_default() && window_column(name, *quoted).is_some())
}

/// Whether a part, those inside aggregates apart, is such.
fn has(expr: &Expr, such: fn(&Expr) -> bool) -> bool {
    such(expr)
        || (!matches!(expr, Expr::Aggregate(_)) && expr.children().into_iter().any(|part| has(part, such)))
}
