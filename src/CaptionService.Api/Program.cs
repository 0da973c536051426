using CaptionService.Api;
using CaptionService.Api.Captions;
using CaptionService.Api.Datasets;
using CaptionService.Api.Models;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.AddServerLimits();
builder.AddRequestLog();
builder.Services.AddProblems();
builder.Services.AddStorage();
builder.Services.AddHealth();
builder.Services.AddModels();
builder.Services.AddCaptions();
builder.Services.AddDatasets();
builder.Services.AddOpenApiDocument();

WebApplication app = builder.Build();
app.UseRequestLog();
app.UseProblems();
app.MapCaptions();
app.MapDatasets();
app.MapModels();
app.MapHealth();
app.MapProblems();
app.MapOpenApiDocument();
try
{
    app.Run();
}
catch (StorageException)
{
    Environment.ExitCode = 1;   // the log says why
}
