//! Documents: maximal runs of rows with one `doc_id`.

/// A maximal run of consecutive rows with one `doc_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document {
    /// Its number in the dump; no other document has it.
    pub doc_id: i64,
    /// Its first row.
    pub first_row: u64,
    /// How many rows it has.
    pub n_rows: u32,
}

/// Which of `documents` (in order of rows, without gaps) holds the row.
pub(super) fn document_of(documents: &[Document], row: u64) -> Option<usize> {
    let next = documents.partition_point(|document| document.first_row <= row);
    let document = next.checked_sub(1)?;
    (row - documents[document].first_row < documents[document].n_rows.into()).then_some(document)
}

/// In how many of `documents` these rows, in increasing order, stand.
pub(super) fn count_documents(documents: &[Document], rows: impl Iterator<Item = u32>) -> u32 {
    let (mut count, mut end, mut rest) = (0, 0, documents);
    for row in rows.map(u64::from) {
        if row >= end {
            let Some(document) = document_of(rest, row) else { break };
            rest = &rest[document..];
            end = rest[0].first_row + u64::from(rest[0].n_rows);
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_find_their_documents() {
        let document = |first_row, n_rows| Document { doc_id: 0, first_row, n_rows };
        let documents = [document(0, 3), document(3, 1), document(4, 5)];
        let found: Vec<_> = (0..10).map(|row| document_of(&documents, row)).collect();
        let expected = [0, 0, 0, 1, 2, 2, 2, 2, 2].map(Some);
        assert_eq!(found[..9], expected);
        assert_eq!(found[9], None);
        assert_eq!(document_of(&[], 0), None);
        assert_eq!(count_documents(&documents, [0, 2, 4, 5, 8].into_iter()), 2);
        assert_eq!(count_documents(&documents, [1, 3, 8].into_iter()), 3);
        assert_eq!(count_documents(&documents, [].into_iter()), 0);
        assert_eq!(count_documents(&[], [1, 3].into_iter()), 0);
    }
}
