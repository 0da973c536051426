using System.Reflection;
using CaptionService.Api.Compatible;
using CaptionService.Api.Tests.Datasets;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using NSwag;
using NSwag.CodeGeneration.CSharp;

namespace CaptionService.Api.Tests.GeneratedClient;

/// <summary>The OpenAPI document as a caller's build sees it: a client is generated, compiled, and used for everything.</summary>
public sealed class GeneratedClientTests(ShippedSmall shipped)
{
    [Fact]
    public async Task Client_generated_from_the_document_can_use_every_operation()
    {
        await using var factory = new ServiceFactory(host =>
        {
            host.UseSetting("Datasets:Estimate", "false").UseSetting("Feedback:Enabled", "true");
            host.UseSetting(ShippedSmall.Setting, shipped.Folder).UseSetting("Auth:FirstKey", ServiceFactory.FirstKey);
        });
        using HttpClient service = await factory.Start(ready: true);
        OpenApiDocument document = await OpenApiDocument.FromJsonAsync(await service.GetStringAsync("/swagger/v1/swagger.json", Service.Cancellation), Service.Cancellation);
        MethodInfo tour = Compiled(document).GetType("Generated.Tour")!.GetMethod("Make")!;
        using var seen = new Succeeded(document);
        using var http = new HttpClient(seen) { BaseAddress = service.BaseAddress, Timeout = TimeSpan.FromMinutes(5), DefaultRequestHeaders = { { "X-Api-Key", ServiceFactory.FirstKey } } };

        await (Task)tour.Invoke(null, [http, Photos.Cat, Made.Zip(Made.Files), Service.Cancellation])!;

        // Other protocols' clients are there already: Compatible/ uses them.
        Assert.Equal(document.Operations.Where(o => !o.Operation.Tags[0].StartsWith(CompatibleApi.Tag, StringComparison.Ordinal)).Select(o => $"{o.Method} {o.Path}").Order(StringComparer.Ordinal), seen.Operations.Order(StringComparer.Ordinal));
    }

    private static Assembly Compiled(OpenApiDocument document)
    {
        var settings = new CSharpClientGeneratorSettings { ClassName = "CaptionClient", UseBaseUrl = false, GenerateOptionalParameters = true };
        settings.CSharpGeneratorSettings.Namespace = "Generated";
        settings.CSharpGeneratorSettings.GenerateNullableReferenceTypes = true;
        string[] sources = [new CSharpClientGenerator(document, settings).GenerateFile(), File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "GeneratedClient", "Tour.cs"))];
        var compilation = CSharpCompilation.Create("Generated", sources.Select(source => CSharpSyntaxTree.ParseText(source)),
            ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(assembly => MetadataReference.CreateFromFile(assembly)),
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable));
        using var program = new MemoryStream();
        Assert.Empty(compilation.Emit(program).Diagnostics.Where(d => d.Severity == DiagnosticSeverity.Error).Select(d => d.ToString()));
        return Assembly.Load(program.ToArray());
    }
}
