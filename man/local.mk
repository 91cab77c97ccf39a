# SPDX-License-Identifier: BSD-2-Clause
# The manual: mdoc, in section 3 a page for each concept.

man_pages = \
	%D%/evring-embed.3 \
	%D%/evring_accept.3 \
	%D%/evring_attach.3 \
	%D%/evring_group.3 \
	%D%/evring_io_edge.3 \
	%D%/evring_op.3 \
	%D%/evring_post.3 \
	%D%/evring_recv.3 \
	%D%/evring_ring.3 \
	%D%/evring_send.3 \
	%D%/evring_set_collect.3 \
	%D%/evring_set_napi.3 \
	%D%/evring_set_spin.3 \
	%D%/evring_stats.3 \
	%D%/evring_strerror.3
dist_man_MANS = %D%/evring.1 %D%/evring.7 $(man_pages)

# The other names of a page, as its NAME has them.
man_links = \
	%D%/evring_accept_init.3 \
	%D%/evring_accept_resume.3 \
	%D%/evring_accept_start.3 \
	%D%/evring_accept_stop.3 \
	%D%/evring_default_loop.3 \
	%D%/evring_detach.3 \
	%D%/evring_embed.3 \
	%D%/evring_group_exit.3 \
	%D%/evring_group_init.3 \
	%D%/evring_group_put.3 \
	%D%/evring_loop_new.3 \
	%D%/evring_op_cancel.3 \
	%D%/evring_op_init.3 \
	%D%/evring_op_start.3 \
	%D%/evring_port_init.3 \
	%D%/evring_port_start.3 \
	%D%/evring_port_stop.3 \
	%D%/evring_port_take.3 \
	%D%/evring_recv_init.3 \
	%D%/evring_recv_start.3 \
	%D%/evring_recv_stop.3 \
	%D%/evring_reserve.3 \
	%D%/evring_send_cancel.3 \
	%D%/evring_send_init.3 \
	%D%/evring_send_queue.3 \
	%D%/evring_send_queued.3 \
	%D%/evring_set_files.3 \
	%D%/evring_tier.3 \
	%D%/evring_tier_name.3 \
	%D%/evring_version.3
nodist_man_MANS = $(man_links)
CLEANFILES += $(man_links)

$(man_links): $(man_pages)
	$(AM_V_GEN)name=`basename $@ .3` && $(MKDIR_P) %D% && \
	for page in $(man_pages); do \
		test -f $$page || page=$(srcdir)/$$page; \
		if grep "^\.Nm $$name\( ,\)*$$" $$page >/dev/null; then \
			echo ".so man3/`basename $$page`"; \
		fi; \
	done >$@.tmp && test `wc -l <$@.tmp` -eq 1 && mv $@.tmp $@
