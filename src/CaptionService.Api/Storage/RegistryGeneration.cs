namespace CaptionService.Api.Storage;

/// <summary>How often the models of a data folder were changed. Servers that share the folder see here that they must look again,
/// and who changes something holds this row meanwhile, so that changes take turns.</summary>
public sealed class RegistryGeneration
{
    /// <summary>Counts up by one with each change.</summary>
    public long Number { get; set; }
}
