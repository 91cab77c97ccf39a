# SPDX-License-Identifier: BSD-2-Clause
#
# dwarf-layout.awk - the layout of types, out of `readelf --debug-dump=info' of
# an object that was compiled with -gdwarf-4: for each struct whose name begins
# with "evring_", and each enumerator that does with "EVRING_",
#
#	struct NAME SIZE
#	member NAME.MEMBER OFFSET TYPE
#	enum NAME VALUE
#
# A type is given as it matters to the layout: a pointer is "*" whatever it
# points to, a typedef goes by its name, and members called reserved* are left
# out, since others may take their place.
#
# What to know about DWARF: an entry begins with its depth and its offset in
# angle brackets, its attributes follow; the members of a struct are the entries
# one deeper that come before the next of its own depth; the length of an array
# is in such an entry, as its last index (gcc) or its count (clang); a type is
# named by the offset of its entry, which may come later.

/^ *<[0-9a-f]+><[0-9a-f]+>: Abbrev Number: 0/ { entry = ""; next }

/^ *<[0-9a-f]+><[0-9a-f]+>: Abbrev/ {
	split($1, part, /[<>]+/)
	depth = part[2]
	entry = part[3]
	tag[entry] = $NF
	gsub(/[()]|DW_TAG_/, "", tag[entry])
	open[depth] = entry
	parent[entry] = open[depth - 1]
	order[nr++] = entry
}

entry && /DW_AT_name/ { name[entry] = value($0) }
entry && /DW_AT_byte_size/ { size[entry] = value($0) }
entry && /DW_AT_const_value/ { constant[entry] = value($0) }
entry && /DW_AT_data_member_location/ { place[entry] = value($0) }
entry && /DW_AT_upper_bound/ { times[parent[entry]] = value($0) + 1 }
entry && /DW_AT_count/ { times[parent[entry]] = value($0) }
entry && /DW_AT_type/ {
	type[entry] = value($0)
	gsub(/<0x|>.*/, "", type[entry])
}

function value(line)
{
	sub(/.*DW_AT_[a-z_]* *: /, "", line)
	sub(/^\(.*\): /, "", line)
	gsub(/^ +|[ \t]+$/, "", line)
	return line
}

function type_name(of)
{
	if (tag[of] == "pointer_type")
		return "*"
	if (tag[of] == "array_type")
		return type_name(type[of]) "[" times[of] "]"
	if (tag[of] == "const_type" || tag[of] == "volatile_type")
		return type_name(type[of])
	if (tag[of] == "structure_type")
		return "struct " name[of] "(" size[of] ")"
	return name[of]
}

END {
	for (i = 0; i < nr; i++) {
		e = order[i]
		p = parent[e]
		if (tag[e] == "structure_type" && name[e] ~ /^evring_/ &&
		    size[e])
			print "struct", name[e], size[e]
		else if (tag[e] == "member" && name[p] ~ /^evring_/ &&
			 name[e] !~ /^reserved/)
			print "member", name[p] "." name[e], place[e],
				type_name(type[e])
		else if (tag[e] == "enumerator" && name[e] ~ /^EVRING_/)
			print "enum", name[e], constant[e]
	}
}
