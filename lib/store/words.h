/* SPDX-License-Identifier: BSD-3-Clause */
/* The small languages of wrappers' values: read:5,write:200us.  Any thread. */
#ifndef VH_STORE_WORDS_H
#define VH_STORE_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

#define VH_WORD_MAX 48

/*
 * Copy what stands before the next @sep of *@at to @word, and go on behind it.  False: it
 * was the end, or the word is empty or too long; then *@at is not NULL.
 */
bool vh_word_next(const char **at, char sep, char word[VH_WORD_MAX]);

/* Does @word begin with @prefix?  Then *@rest is what follows. */
bool vh_word_begins(const char *word, const char *prefix, const char **rest);

/* A number from 1 on, or a time in ms or with a unit (200us, 5ms, 2s) up to a day. */
bool vh_parse_count(const char *text, uint64_t *n);
bool vh_parse_time(const char *text, uint64_t *ns);

/* "read", "write-zeroes", ... */
const char *vh_store_op_name(enum vh_store_op op);
bool vh_store_parse_op(const char *name, enum vh_store_op *op);

/* "KEY=VALUE: want WANT" in the log: -EINVAL. */
int vh_store_wrong(const char *tag, const char *key, const char *value, const char *want);

#endif
