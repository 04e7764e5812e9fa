// AG Grid with its infinite row model: pages of rows asked of the kernel as they come into view.
import { createGrid, InfiniteRowModelModule, ModuleRegistry, RowSelectionModule, ScrollApiModule } from "ag-grid-community";

ModuleRegistry.registerModules([InfiniteRowModelModule, RowSelectionModule, ScrollApiModule]);

function render({ model, el }) {
  const host = document.createElement("div");
  host.style.height = "380px";
  el.append(host);
  let asked = 0;
  const waiting = new Map();
  model.on("msg:custom", ({ seq, rows, total }) => {
    waiting.get(seq)?.successCallback(rows, total);
    waiting.delete(seq);
  });
  createGrid(host, {
    rowModelType: "infinite",
    cacheBlockSize: 100,
    maxConcurrentDatasourceRequests: 2,
    rowSelection: { mode: "multiRow" },
    columnDefs: model.get("fields").map((field, i) => ({ headerName: field, valueGetter: ({ data }) => data?.[i] })),
    datasource: {
      getRows: (params) => {
        waiting.set(++asked, params);
        model.send({ seq: asked, offset: params.startRow, limit: params.endRow - params.startRow });
      },
    },
  });
}

export default { render };
